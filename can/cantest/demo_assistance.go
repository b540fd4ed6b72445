package cantest

func demoAssistance() []Message {
	messages := []Message{
		{Name: "LaneCamera", ID: 0x330, Bus: 1, Sender: "ADAS", Len: 8, CycleMilliseconds: 10, movesPerMille: 500, Signals: []Signal{
			motorola("LaneOffsetLeft", 7, 12).signed().physical(0.01, 0, "m").walks(1.2, 2.2, 0.01),
			motorola("LaneOffsetRight", 23, 12).signed().physical(0.01, 0, "m").walks(-2.2, -1.2, 0.01),
			motorola("LaneCurvature", 39, 16).signed().physical(0.00001, 0, "1/m").walks(-0.01, 0.01, 0.0001),
			intel("LaneMarkLeft", 48, 2).picks(laneNames),
			intel("LaneMarkRight", 50, 2).picks(laneNames),
		}},
		{Name: "UltrasonicFront", ID: 0x334, Bus: 1, Sender: "ADAS", Len: 8, CycleMilliseconds: 10, movesPerMille: 450, Signals: ultrasonic("Front")},
		{Name: "UltrasonicRear", ID: 0x338, Bus: 1, Sender: "ADAS", Len: 8, CycleMilliseconds: 10, movesPerMille: 450, Signals: ultrasonic("Rear")},
		{Name: "GnssPosition", ID: 0x380, Bus: 1, Sender: "TCU", Len: 8, CycleMilliseconds: 50, Comment: "WGS 84", Signals: []Signal{
			intel("GnssLatitude", 0, 32).signed().physical(1e-7, 0, "°").from(qLatitude),
			intel("GnssLongitude", 32, 32).signed().physical(1e-7, 0, "°").from(qLongitude),
		}},
		{Name: "GnssMotion", ID: 0x384, Bus: 1, Sender: "TCU", Len: 8, CycleMilliseconds: 50, movesPerMille: 50, Signals: []Signal{
			motorola("GnssAltitude", 7, 16).signed().physical(0.1, 0, "m").from(qAltitude),
			motorola("GnssHeading", 23, 16).physical(0.01, 0, "°").from(qHeading),
			motorola("GnssSpeed", 39, 16).physical(0.01, 0, "km/h").from(qSpeed),
			intel("GnssSatellites", 56, 5).walks(7, 14, 1),
		}},
	}
	for i := range uint32(4) {
		n := string(rune('1' + i))
		messages = append(messages, Message{
			Name: "RadarObject" + n, ID: 0x320 + i, Bus: 1, Sender: "ADAS", Len: 8, CycleMilliseconds: 10, movesPerMille: 600,
			Signals: []Signal{
				intel("ObjectDistance"+n, 0, 12).physical(0.1, 0, "m").walks(5, 180, 0.2),
				intel("ObjectSpeed"+n, 12, 12).signed().physical(0.05, 0, "m/s").walks(-20, 20, 0.1).note("Relative to the vehicle"),
				intel("ObjectLateral"+n, 24, 10).signed().physical(0.05, 0, "m").walks(-8, 8, 0.05),
				intel("ObjectClass"+n, 40, 3).picks(objectNames),
			},
		})
	}
	return messages
}

// ultrasonic are the sensors of a bumper, from left to right.
func ultrasonic(bumper string) []Signal {
	var signals []Signal
	for i := range uint8(4) {
		name := "Ultrasonic" + bumper + string(rune('1'+i))
		signals = append(signals, motorola(name, 7+16*i, 9).physical(1, 0, "cm").walks(20, 500, 2))
	}
	return signals
}
