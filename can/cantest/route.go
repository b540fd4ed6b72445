package cantest

// The round of the demo vehicle: what its driver does, second by second. It
// leaves a car park backwards, goes through a city and its traffic lights, over
// a motorway in the rain and through another city, and parks.

// roundSeconds is the length of the round, after which it begins anew.
const roundSeconds = 1200

// knot is a point of a piecewise linear profile.
type knot struct {
	seconds int64
	value   float64
}

// speedProfile is the speed in km/h. Where the lever is at Reverse the vehicle
// goes backwards.
var speedProfile = profile{
	{0, 0}, {9, 0}, {12, 6}, {15, 6}, {18, 0}, {21, 0},
	{29, 31}, {44, 50}, {61, 48}, {68, 0}, {86, 0},
	{95, 33}, {110, 52}, {125, 51}, {133, 28}, {141, 30}, {150, 0}, {171, 0},
	{176, 14}, {181, 9}, {186, 17}, {193, 0}, {204, 0},
	{214, 42}, {238, 50}, {262, 50}, {270, 22}, {278, 24}, {288, 51}, {312, 50}, {321, 0}, {345, 0},
	{356, 46}, {372, 62}, {384, 45}, {391, 43},
	{407, 88}, {424, 121}, {470, 123}, {490, 131}, {545, 130}, {556, 98}, {580, 100}, {597, 130},
	{650, 132}, {662, 80}, {700, 79}, {705, 80}, {728, 126}, {790, 128}, {812, 127}, {830, 84}, {846, 52}, {854, 49},
	{862, 0}, {880, 0}, {891, 44}, {915, 50}, {940, 50}, {949, 19}, {956, 21}, {968, 49}, {985, 50}, {993, 0}, {1012, 0},
	{1024, 45}, {1042, 51}, {1070, 30}, {1095, 30}, {1101, 0}, {1108, 0}, {1115, 26}, {1136, 29}, {1146, 12},
	{1158, 10}, {1166, 5}, {1172, 0}, {roundSeconds, 0},
}

// steeringProfile is the angle of the steering wheel in degrees, left positive.
var steeringProfile = profile{
	{0, 0}, {8, 0}, {10, -310}, {15, -330}, {18, 0}, {22, 40}, {24, 90}, {30, 8}, {44, -3}, {130, 0}, {134, 140}, {139, 145}, {144, 0},
	{268, 0}, {272, -215}, {276, -205}, {281, 0}, {384, 0}, {388, 52}, {395, 45}, {404, 2}, {430, -2}, {470, 3}, {520, -3},
	{580, 2}, {640, -2}, {720, 3}, {800, -2}, {828, 0}, {834, -20}, {848, -35}, {853, 0}, {947, 0}, {951, 225}, {955, 220}, {960, 0},
	{1106, 0}, {1110, -140}, {1113, -110}, {1118, 0}, {1143, 0}, {1148, 280}, {1155, 300}, {1160, -250}, {1168, -270}, {1172, 0}, {roundSeconds, 0},
}

// ambientProfile is the outside temperature in degrees Celsius.
var ambientProfile = profile{{0, 11}, {420, 12}, {500, 9.5}, {700, 8}, {900, 11.5}, {roundSeconds, 11}}

// altitudeProfile is the height above sea level in metres.
var altitudeProfile = profile{{0, 518}, {400, 511}, {620, 574}, {850, 489}, {1000, 482}, {roundSeconds, 518}}

// event sets a quantity at a time of the round.
type event struct {
	seconds float64
	target  quantity
	value   int64
}

// round lists the events in the order of time.
var round = []event{
	{0, qDoorFL, doorOpen}, {0, qParkBrake, parkBrakeApplied}, {0, qDriveMode, driveComfort}, {0, qTurnSignal, turnOff},
	{1, qIgnition, ignitionAccessory}, {1.4, qDoorFL, doorAjar}, {1.6, qDoorFL, doorClosed}, {2, qIgnition, ignitionOn},
	{2.2, qDoorFR, doorOpen}, {3.6, qDoorFR, doorAjar}, {3.8, qDoorFR, doorClosed}, {4, qBeltDriver, 1}, {4.4, qIgnition, ignitionStart},
	{5.2, qIgnition, ignitionOn}, {5.2, qEngineRunning, 1}, {5.5, qLights, lightsParking}, {6, qBeltPassenger, 1}, {6.2, qLights, lightsLow},
	{6.8, qParkBrake, parkBrakeReleasing}, {7.6, qParkBrake, parkBrakeReleased}, {8, qLever, leverReverse}, {8.2, qLocked, 1},
	{18.6, qLever, leverNeutral}, {19.4, qLever, leverDrive}, {21, qTurnSignal, turnLeft}, {29, qTurnSignal, turnOff},
	{64, qWindowFL, 40}, {90, qDriveMode, driveEco}, {122, qTurnSignal, turnLeft}, {142, qTurnSignal, turnOff},
	{160, qDoorRL, doorOpen}, {163, qDoorRL, doorAjar}, {163.3, qDoorRL, doorClosed}, {166, qDoorRR, doorOpen}, {168, qDoorRR, doorAjar}, {168.2, qDoorRR, doorClosed},
	{230, qWindowFL, 0}, {258, qTurnSignal, turnRight}, {279, qTurnSignal, turnOff}, {330, qWiper, wiperWash}, {334, qWiper, wiperOff},
	{382, qTurnSignal, turnLeft}, {390, qDriveMode, driveSport}, {392, qLever, leverSport}, {402, qTurnSignal, turnOff},
	{426, qLever, leverDrive}, {428, qDriveMode, driveComfort}, {432, qCruise, cruiseStandby}, {436, qCruise, cruiseActive}, {440, qRain, 8},
	{446, qWiper, wiperInterval}, {470, qRain, 35}, {474, qWiper, wiperSlow}, {486, qTurnSignal, turnLeft}, {489, qTurnSignal, turnOff},
	{492, qCruise, cruiseOverride}, {496, qCruise, cruiseActive}, {520, qRain, 90}, {522, qWiper, wiperFast}, {546, qCruise, cruiseStandby},
	{556, qTurnSignal, turnHazard}, {562, qTurnSignal, turnOff}, {598, qCruise, cruiseActive}, {610, qRain, 40}, {613, qWiper, wiperSlow},
	{652, qCruise, cruiseStandby}, {664, qLights, lightsHigh}, {690, qLights, lightsLow}, {705, qRain, 10}, {708, qWiper, wiperInterval},
	{731, qCruise, cruiseActive}, {760, qRain, 0}, {764, qWiper, wiperOff}, {811, qCruise, cruiseOff}, {822, qTurnSignal, turnRight}, {852, qTurnSignal, turnOff},
	{936, qTurnSignal, turnLeft}, {958, qTurnSignal, turnOff}, {1050, qDriveMode, driveEco}, {1102, qTurnSignal, turnRight}, {1118, qTurnSignal, turnOff},
	{1140, qTurnSignal, turnLeft}, {1158, qTurnSignal, turnOff}, {1174, qLever, leverPark}, {1175, qParkBrake, parkBrakeApplying}, {1175.8, qParkBrake, parkBrakeApplied},
	{1178, qEngineRunning, 0}, {1178, qIgnition, ignitionAccessory}, {1180, qLights, lightsParking}, {1181, qBeltDriver, 0}, {1182, qBeltPassenger, 0},
	{1183, qLocked, 0}, {1184, qDoorFL, doorAjar}, {1184.3, qDoorFL, doorOpen}, {1185, qDoorFR, doorAjar}, {1185.2, qDoorFR, doorOpen}, {1187, qTailgate, 1},
	{1188, qIgnition, ignitionOff}, {1190, qDoorFR, doorClosed}, {1192, qTailgate, 0}, {1193, qLights, lightsOff}, {1194, qDoorFL, doorClosed},
}

// profile is a piecewise linear function of the time of the round.
type profile []knot

// cursor goes along a profile.
type cursor struct {
	profile profile
	at      int
}

// value gives the profile's value in fixed point. Times must not decrease but to
// begin the next round.
func (c *cursor) value(micros int64) int64 {
	const second = 1_000_000
	if micros < c.profile[c.at].seconds*second {
		c.at = 0
	}
	for c.at+2 < len(c.profile) && micros >= c.profile[c.at+1].seconds*second {
		c.at++
	}
	a, b := c.profile[c.at], c.profile[c.at+1]
	from, to := fixed(a.value), fixed(b.value)
	return from + (to-from)/(b.seconds-a.seconds)*(micros-a.seconds*second)/second
}
