package cantest

// gearTop are the speeds in km/h up to which the gears 1 to 7 are used, and
// gearRatio the revolutions per minute that a km/h is in the gears 0 (none) to 8
// and in reverse.
var (
	gearTop   = [...]int64{15, 28, 42, 58, 76, 95, 115}
	gearRatio = [...]int64{0, 120, 72, 50, 38, 31, 26, 22, 19, 115}
)

// drive does what engine, gearbox and brakes do.
func (v *vehicle) drive() {
	speed, acceleration := v.values[qSpeed], v.values[qAcceleration]
	running := v.is(qEngineRunning, 1)
	gear := int64(0)
	switch {
	case v.is(qLever, leverReverse):
		gear = gearReverse
	case v.values[qLever] >= leverDrive*one:
		for gear = 1; gear <= int64(len(gearTop)) && speed > gearTop[gear-1]*one; gear++ {
		}
	}
	if before := v.values[qGear]; before != gear*one {
		// A hysteresis of 1 km/h, so that noise does not shift.
		if before == (gear+1)*one && gear > 0 && gear < 8 && speed > (gearTop[gear-1]-1)*one {
			gear++
		} else {
			v.values[qGear], v.shiftMicros = gear*one, 250_000
		}
	}
	v.shiftMicros = max(0, v.shiftMicros-stepMicros)
	v.set(qShifting, v.shiftMicros > 0)

	// Driving power asks for torque; braking for none.
	request := acceleration*70 + speed*6/10
	braking := acceleration < -4*one/10 || (speed == 0 && running && !v.is(qLever, leverPark))
	engine := int64(0)
	if running {
		engine = max(780*one, speed*gearRatio[gear]) + v.noise(6*one)
		if braking || request < 0 {
			request = -12 * one
		}
	} else {
		request = 0
		if v.is(qIgnition, ignitionStart) {
			engine = 240 * one
		}
	}
	v.follow(qEngineSpeed, engine, 12)
	if engine == 0 && v.values[qEngineSpeed] < 20*one {
		v.values[qEngineSpeed] = 0
	}
	v.values[qTorqueRequest] = request
	v.follow(qTorque, request, 10)
	v.values[qTurbineSpeed] = 0
	if gear > 0 && running {
		v.values[qTurbineSpeed] = min(v.values[qEngineSpeed], speed*gearRatio[gear])
	}
	v.values[qOutputSpeed] = speed * 9
	v.follow(qPedal, min(100*one, max(0, request*2/5)), 8)
	v.follow(qThrottle, min(100*one, max(0, request*2/5+4*one)), 12)
	if running {
		v.follow(qManifold, 320*one+max(0, v.values[qTorque])*7, 15)
		v.follow(qFuelRate, max(0, v.values[qTorque])*(v.values[qEngineSpeed]/one)/24_000+7*one/10, 10)
	} else {
		v.follow(qManifold, 1009*one, 30)
		v.values[qFuelRate] = 0
	}
	v.set(qBrakePressed, braking)
	pressure := int64(0)
	switch {
	case braking && speed > 0:
		pressure = -acceleration * 17
	case braking:
		pressure = 14 * one
	}
	v.follow(qBrakePressure, pressure, 6)
	if v.values[qBrakePressure] < one/20 {
		v.values[qBrakePressure] = 0
	}
	// The wet road: braking on the motorway makes the ABS work.
	v.set(qABS, braking && v.values[qRain] > 20*one && speed > 110*one)
}

// charge does what the batteries and the electric machine do.
func (v *vehicle) charge() {
	awake := v.values[qIgnition] >= ignitionOn*one
	v.set(qContactor, false)
	current := int64(0)
	if awake {
		v.values[qContactor] = contactorClosed * one
		current = 2*one + v.values[qAcceleration]*35 + v.values[qSpeed]/20
		if v.values[qSpeed] > 0 {
			current += v.noise(one / 2)
		}
	} else if v.is(qIgnition, ignitionAccessory) {
		v.values[qContactor] = contactorPrecharge * one
	}
	v.follow(qHVCurrent, current, 6)
	open := 320*one + v.values[qHVCharge]*6/10
	v.follow(qHVVoltage, open-v.values[qHVCurrent]/10, 5)
	v.values[qHVCharge] -= v.values[qHVCurrent] / 133_000
	v.values[qMotorSpeed], v.values[qMotorTorque] = v.values[qSpeed]*85, v.values[qHVCurrent]*6/10
	if v.is(qDirection, directionBackward) {
		v.values[qMotorSpeed] = -v.values[qMotorSpeed]
	}
	voltage := int64(124 * one / 10)
	if v.is(qEngineRunning, 1) {
		voltage = 142*one/10 + v.noise(one/50)
	}
	v.follow(qVoltage, voltage, 40)
	if v.steps%10 == 0 {
		for cell := range quantity(batteryCells) {
			// Cells differ by production, by up to 15 mV.
			v.values[qCell+cell] = v.values[qHVVoltage]/96 + int64(cell*7%16-8)*one/500 + v.noise(one/1000)
		}
	}
}

// wear does what is slow: temperatures, levels, the clock, the blinkers.
func (v *vehicle) wear() {
	v.values[qAmbient] = v.ambient.value(v.micros)
	ambient := v.values[qAmbient]
	coolant, oil := ambient, ambient
	if v.is(qEngineRunning, 1) {
		coolant, oil = 91*one, 97*one+max(0, v.values[qTorque])/12
		v.values[qOilPressure] = one + v.values[qEngineSpeed]/900
		v.values[qFuelLevel] -= v.values[qFuelRate] / 190_000
	} else {
		v.values[qOilPressure] = 0
	}
	v.follow(qCoolant, coolant, 16_000)
	v.follow(qOil, oil, 28_000)
	v.follow(qGearboxOil, oil-12*one, 40_000)
	v.follow(qCabin, 21*one, 30_000)
	v.follow(qHVTemperature, 26*one+max(v.values[qHVCurrent], -v.values[qHVCurrent])/20, 60_000)
	v.follow(qBrakeDisc, ambient+max(0, v.values[qBrakePressure])*(v.values[qSpeed]/one)/3, 3000)

	seconds := v.steps * stepMicros / 1_000_000
	v.values[qSecond] = seconds % 60 * one
	v.values[qMinute] = seconds / 60 % 60 * one
	v.values[qHour] = seconds / 3600 % 24 * one
	// 90 flashes a minute.
	bright := v.micros%666_667 < 333_334
	v.set(qBlinkLeft, bright && (v.is(qTurnSignal, turnLeft) || v.is(qTurnSignal, turnHazard)))
	v.set(qBlinkRight, bright && (v.is(qTurnSignal, turnRight) || v.is(qTurnSignal, turnHazard)))
}
