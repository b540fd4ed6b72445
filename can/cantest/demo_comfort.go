package cantest

func demoComfort() []Message {
	return []Message{
		{Name: "SeatDriver", ID: 0x340, Bus: 1, Sender: "BCM", Len: 8, CycleMilliseconds: 20, movesPerMille: 2, Signals: seat("Driver")},
		{Name: "SeatPassenger", ID: 0x344, Bus: 1, Sender: "BCM", Len: 8, CycleMilliseconds: 20, movesPerMille: 2, Signals: seat("Passenger")},
		{Name: "ClimateControl", ID: 0x34C, Bus: 1, Sender: "HVAC", Len: 8, CycleMilliseconds: 20, movesPerMille: 3, Signals: []Signal{
			intel("ClimateMode", 0, 2).picks(climateNames),
			intel("ClimateSetpoint", 8, 8).physical(0.5, 0, "°C").walks(18, 24, 0.5),
			intel("BlowerStage", 16, 4).walks(1, 9, 1),
		}},
		{Name: "ClimateSensors", ID: 0x350, Bus: 1, Sender: "HVAC", Len: 8, CycleMilliseconds: 20, movesPerMille: 100, Signals: []Signal{
			intel("CabinTemperature", 0, 10).physical(0.1, -40, "°C").from(qCabin),
			intel("EvaporatorTemperature", 16, 10).physical(0.1, -40, "°C").walks(3, 12, 0.1),
			motorola("RefrigerantPressure", 39, 10).physical(0.05, 0, "bar").walks(8, 18, 0.05),
		}},
		{Name: "Mirrors", ID: 0x354, Bus: 1, Sender: "DCM", Len: 8, CycleMilliseconds: 20, movesPerMille: 1, Signals: []Signal{
			intel("MirrorLeftX", 0, 8).signed().physical(0.5, 0, "%").walks(-20, 20, 1),
			intel("MirrorLeftY", 8, 8).signed().physical(0.5, 0, "%").walks(-20, 20, 1),
			intel("MirrorRightX", 16, 8).signed().physical(0.5, 0, "%").walks(-20, 20, 1),
			intel("MirrorRightY", 24, 8).signed().physical(0.5, 0, "%").walks(-20, 20, 1),
		}},
		{Name: "InteriorLights", ID: 0x358, Bus: 1, Sender: "BCM", Len: 6, CycleMilliseconds: 20, movesPerMille: 1, Signals: []Signal{
			bit("DomeLight", 0, qTailgate),
			intel("DashDimming", 8, 8).physical(0.5, 0, "%").walks(20, 80, 5),
		}},
		{Name: "SupplyMonitor", ID: 0x3A4, Bus: 1, Sender: "CGW", Len: 8, CycleMilliseconds: 100, movesPerMille: 200, Signals: []Signal{
			intel("BodySupplyVoltage", 0, 8).physical(0.1, 0, "V").from(qVoltage),
			intel("BodySupplyCurrent", 8, 10).signed().physical(0.1, 0, "A").walks(-5, 40, 0.5),
		}},
		{Name: "MediaState", ID: 0x3A8, Bus: 1, Sender: "IPC", Len: 8, CycleMilliseconds: 100, movesPerMille: 20, Signals: []Signal{
			intel("MediaSource", 0, 2).picks(mediaNames),
			intel("MediaVolume", 8, 6).walks(4, 30, 1),
		}},
		{Name: "TelematicsState", ID: 0x3AC, Bus: 1, Sender: "TCU", Len: 8, CycleMilliseconds: 100, movesPerMille: 100, Signals: []Signal{
			intel("CellularSignal", 0, 8).signed().physical(1, 0, "dBm").walks(-110, -60, 1),
			intel("CellularConnected", 8, 1).picks(connectedNames),
		}},
		{Name: "TyreTemperatures", ID: 0x3B0, Bus: 1, Sender: "BCM", Len: 4, CycleMilliseconds: 100, movesPerMille: 10, Signals: []Signal{
			intel("TyreTemperatureFL", 0, 8).physical(1, -40, "°C").walks(14, 40, 1),
			intel("TyreTemperatureFR", 8, 8).physical(1, -40, "°C").walks(14, 40, 1),
			intel("TyreTemperatureRL", 16, 8).physical(1, -40, "°C").walks(14, 40, 1),
			intel("TyreTemperatureRR", 24, 8).physical(1, -40, "°C").walks(14, 40, 1),
		}},
		{Name: "SeatOccupancy", ID: 0x3B4, Bus: 1, Sender: "ACU", Len: 2, CycleMilliseconds: 100, Signals: []Signal{
			bit("OccupiedPassenger", 0, qBeltPassenger),
			bit("OccupiedRearLeft", 1, 0),
			bit("OccupiedRearRight", 2, 0),
		}},
	}
}

func seat(of string) []Signal {
	return []Signal{
		intel("SeatHeight"+of, 0, 8).physical(0.5, 0, "%").walks(20, 80, 1),
		intel("SeatLength"+of, 8, 8).physical(0.5, 0, "%").walks(20, 80, 1),
		intel("SeatBack"+of, 16, 10).physical(0.1, 0, "°").walks(95, 100, 0.5),
		intel("SeatHeating"+of, 32, 2).walks(0, 3, 1),
	}
}
