package cantest

import "math/rand/v2"

// vehicle moves the quantities along, one stepMicros at a time. All of it is
// integer arithmetic in fixed point.
type vehicle struct {
	random *rand.PCG
	values []int64

	micros                               int64 // of the round
	speed, steering, ambient, altitude   cursor
	nextEvent                            int
	lastSpeed, lastSteering, shiftMicros int64
	// Distances are in micrometres; the position is in ten-thousandths of the
	// fixed point, so that a step of a slow vehicle is not lost.
	odometer, trip      int64
	latitude, longitude int64
	steps               int64
}

func newVehicle(random *rand.PCG, values []int64) *vehicle {
	v := &vehicle{
		random: random, values: values,
		speed: cursor{profile: speedProfile}, steering: cursor{profile: steeringProfile},
		ambient: cursor{profile: ambientProfile}, altitude: cursor{profile: altitudeProfile},
		odometer: 48_213_700 * 1_000_000,
		latitude: 48_1371540 * 10_000, longitude: 11_5761240 * 10_000,
	}
	for q, value := range map[quantity]float64{
		qCoolant: 14, qOil: 13, qGearboxOil: 13, qBrakeDisc: 12, qCabin: 13, qFuelLevel: 68, qHVCharge: 61, qHVTemperature: 15,
		qVoltage: 12.4, qHVVoltage: 352, qHeading: 135, qManifold: 1009,
	} {
		values[q] = fixed(value)
	}
	return v
}

// step moves the vehicle along by stepMicros.
func (v *vehicle) step() {
	for v.nextEvent < len(round) && fixed(round[v.nextEvent].seconds) <= v.micros*(one/1_000_000) {
		e := round[v.nextEvent]
		v.values[e.target] = e.value * one
		v.nextEvent++
	}
	v.move()
	v.drive()
	v.charge()
	v.wear()
	v.steps++
	v.micros += stepMicros
	if v.micros == roundSeconds*1_000_000 {
		v.micros, v.nextEvent, v.trip = 0, 0, 0
		v.values[qFuelLevel], v.values[qHVCharge] = fixed(68), fixed(61)
	}
}

// follow lets a quantity approach a target: by one part in slowness a step.
func (v *vehicle) follow(q quantity, target, slowness int64) {
	v.values[q] += (target - v.values[q]) / slowness
}

// noise draws from -amplitude to +amplitude.
func (v *vehicle) noise(amplitude int64) int64 {
	return below(v.random, uint64(2*amplitude+1)) - amplitude
}

func (v *vehicle) is(q quantity, value int64) bool { return v.values[q] == value*one }

func (v *vehicle) set(q quantity, yes bool) {
	v.values[q] = 0
	if yes {
		v.values[q] = one
	}
}

// move does what the vehicle as a body does: speed, accelerations, position.
func (v *vehicle) move() {
	const stepsPerSecond = 1_000_000 / stepMicros
	speed := v.speed.value(v.micros)
	// From km/h a step to m/s².
	v.follow(qAcceleration, (speed-v.lastSpeed)*stepsPerSecond*10/36, 6)
	v.lastSpeed = speed
	steering := v.steering.value(v.micros)
	if speed > 0 {
		steering += v.noise(one / 2)
		v.values[qSpeed] = max(0, speed+v.noise(one/50))
	} else {
		v.values[qSpeed] = 0
	}
	v.follow(qSteering, steering, 8)
	v.follow(qSteeringRate, (v.values[qSteering]-v.lastSteering)*stepsPerSecond, 4)
	v.lastSteering = v.values[qSteering]
	v.set(qStandstill, speed == 0)
	direction, sign := int64(directionNone), int64(1)
	switch {
	case speed == 0:
	case v.is(qLever, leverReverse):
		direction, sign = directionBackward, -1
	default:
		direction = directionForward
	}
	v.values[qDirection] = direction * one

	// The yaw rate of a single-track model: the steering ratio is 15, the wheel
	// base 2.7 m. A lateral acceleration of a tight turn is held at what tyres do.
	yaw := sign * (speed / 1000 * (v.values[qSteering] / 1000) / (one / 1_000_000) * 10 / 36 * 10 / 27 / 15)
	v.values[qYawRate] = yaw
	lateral := speed / 1000 * (yaw / 1000) / (one / 1_000_000) * 10 / 36 * 10 / 573
	v.values[qLateral] = lateral
	if speed > 0 {
		v.values[qYawRate] += v.noise(one / 20)
		v.values[qLateral] += v.noise(one / 50)
	}
	// Wheels on the outside of a turn are faster: half the track is 0.8 m.
	inner := yaw / 10 * 8 / 573 * 36
	for q, side := range [4]int64{-1, 1, -1, 1} {
		wheel := int64(0)
		if speed > 0 {
			wheel = max(0, speed+side*sign*inner+v.noise(one/25))
		}
		v.values[qWheelFL+quantity(q)] = wheel
	}
	v.travel(speed, yaw/stepsPerSecond, sign)
}

// travel integrates the distance and the position.
func (v *vehicle) travel(speed, turn, sign int64) {
	// Micrometres in a step: km/h / 3.6 m/s * 0.01 s.
	step := speed * 10 / 36 / (one / 1_000_000) * stepMicros / 1_000_000
	v.odometer += step
	v.trip += step
	const circle = 360 * one
	v.values[qHeading] = ((v.values[qHeading]-turn)%circle + circle) % circle
	// A micrometre is 0.898e-11 degrees of latitude, which is the unit of the
	// position, and here 1.346e-11 degrees of longitude.
	north, east := sine(v.values[qHeading]+90*one), sine(v.values[qHeading])
	v.latitude += sign * step * (north / 1000) / (one / 1000) * 898 / 1000
	v.longitude += sign * step * (east / 1000) / (one / 1000) * 1346 / 1000
	v.values[qLatitude] = v.latitude / 10_000
	v.values[qLongitude] = v.longitude / 10_000
	v.values[qOdometer] = v.odometer / 100
	v.values[qTrip] = v.trip / 100
	v.values[qAltitude] = v.altitude.value(v.micros)
}

// sine is the sine of an angle in degrees, after Bhaskara: good to 0.2 %, and
// the same everywhere, which math.Sin is not.
func sine(degrees int64) int64 {
	degrees %= 360 * one
	sign := int64(1)
	if degrees >= 180*one {
		degrees, sign = degrees-180*one, -1
	}
	x := degrees / 10_000
	product := x * (180*one/10_000 - x)
	return sign * (4 * product * 1000 / ((40500*1_000_000 - product) / 1000)) * (one / 1_000_000)
}
