package cantest

func demoBody() []Message {
	messages := []Message{
		{Name: "SteeringWheelSwitches", ID: 0x310, Bus: 1, Sender: "BCM", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			intel("TurnSignalLever", 0, 2).names(turnNames).from(qTurnSignal),
			intel("WiperLever", 2, 3).names(wiperNames).from(qWiper),
			intel("CruiseSwitch", 5, 2).names(cruiseNames).from(qCruise),
			counter(48), checksum(56),
		}},
		{Name: "ExteriorLights", ID: 0x314, Bus: 1, Sender: "BCM", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			intel("LightMode", 0, 2).names(lightNames).from(qLights),
			bit("BlinkerLeft", 2, qBlinkLeft),
			bit("BlinkerRight", 3, qBlinkRight),
			bit("BrakeLight", 4, qBrakePressed),
			intel("TurnSignalState", 8, 2).names(turnNames).from(qTurnSignal),
		}},
		{Name: "GatewayMotion", ID: 0x318, Bus: 1, Sender: "CGW", Len: 8, CycleMilliseconds: 10, Comment: "Copy from the other bus", Signals: []Signal{
			intel("DisplaySpeed", 0, 10).physical(0.25, 0, "km/h").from(qSpeed),
			intel("DisplayIgnition", 10, 2).names(ignitionNames).from(qIgnition),
			intel("DisplayLever", 12, 3).names(leverNames).from(qLever),
			intel("DisplayEngineSpeed", 16, 10).physical(8, 0, "rpm").from(qEngineSpeed),
			counter(48), checksum(56),
		}},
		{Name: "TerminalState", ID: 0x31C, Bus: 1, Sender: "BCM", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			intel("IgnitionState", 0, 2).names(ignitionNames).from(qIgnition).note("Position of the ignition switch"),
			bit("VehicleLocked", 2, qLocked),
			bit("TailgateOpen", 3, qTailgate),
		}},
		{Name: "WiperControl", ID: 0x348, Bus: 1, Sender: "BCM", Len: 8, CycleMilliseconds: 20, Signals: []Signal{
			intel("WiperState", 0, 3).names(wiperNames).from(qWiper),
			intel("RainIntensity", 8, 8).physical(0.5, 0, "%").from(qRain),
		}},
		{Name: "InstrumentCluster", ID: 0x35C, Bus: 1, Sender: "IPC", Len: 8, CycleMilliseconds: 20, Signals: []Signal{
			intel("ClusterSpeed", 0, 8).physical(1, 0, "km/h").from(qSpeed),
			intel("ClusterGear", 8, 4).names(gearNames).from(qGear),
			intel("ClusterCoolant", 16, 8).physical(0.75, -48, "°C").from(qCoolant),
			intel("ClusterFuel", 24, 8).physical(0.5, 0, "%").from(qFuelLevel),
		}},
		{Name: "Tailgate", ID: 0x360, Bus: 1, Sender: "BCM", Len: 3, CycleMilliseconds: 20, Signals: []Signal{
			bit("TailgateLatch", 0, qTailgate),
			intel("TailgateMotorCurrent", 8, 8).physical(0.2, 0, "A"),
		}},
		{Name: "RainLightSensor", ID: 0x388, Bus: 1, Sender: "BCM", Len: 8, CycleMilliseconds: 50, movesPerMille: 300, Signals: []Signal{
			intel("AmbientLight", 0, 16).physical(1, 0, "lx").walks(200, 40_000, 150),
			intel("RainSensor", 16, 8).physical(0.5, 0, "%").from(qRain),
		}},
		{Name: "AmbientConditions", ID: 0x3A0, Bus: 1, Sender: "HVAC", Len: 8, CycleMilliseconds: 100, movesPerMille: 30, Signals: []Signal{
			intel("AmbientTemperature", 0, 8).physical(0.5, -40, "°C").from(qAmbient),
			intel("AirPressure", 8, 10).physical(0.5, 600, "hPa").walks(940, 965, 0.5),
			intel("Humidity", 24, 8).physical(0.5, 0, "%").walks(50, 90, 0.5),
		}},
		{Name: "DiagnosticData", ID: 0x18DA10F1, Extended: true, Bus: 1, Sender: "CGW", Len: 8, CycleMilliseconds: 200, movesPerMille: 500, Comment: "Live data by identifier", Signals: []Signal{
			selector("DataIdentifier", 0, 8),
			intel("SupplyVoltageDiag", 8, 16).physical(0.001, 0, "V").from(qVoltage).group(0),
			intel("ProcessorLoad", 24, 8).physical(0.5, 0, "%").walks(30, 70, 1).group(0),
			intel("ProcessorTemperature", 8, 8).physical(1, -40, "°C").walks(35, 60, 1).group(1),
			intel("ResetCounter", 16, 16).physical(1, 0, "").walks(1037, 1038, 1).group(1),
			motorola("CanErrorCounterTx", 15, 8).walks(0, 16, 1).group(2),
			motorola("CanErrorCounterRx", 23, 8).walks(0, 16, 1).group(2),
			intel("EngineHours", 8, 32).physical(0.001, 0, "h").walks(1240, 1241, 0.001).group(3),
			intel("FaultCount", 40, 8).walks(0, 3, 1).group(3),
		}},
		{Name: "DateTime", ID: 0x3F0, Bus: 1, Sender: "TCU", Len: 8, CycleMilliseconds: 1000, Comment: "Time since the drive began", Signals: []Signal{
			intel("ClockHour", 0, 5).physical(1, 0, "h").from(qHour),
			intel("ClockMinute", 8, 6).physical(1, 0, "min").from(qMinute),
			intel("ClockSecond", 16, 6).physical(1, 0, "s").from(qSecond),
		}},
	}
	for i, corner := range corners {
		window := intel("Window"+corner, 8, 8).physical(0.5, 0, "%").note("0 is closed")
		if i == 0 {
			window = window.from(qWindowFL)
		}
		messages = append(messages, Message{
			Name: "Door" + corner, ID: 0x300 + uint32(i), Bus: 1, Sender: "DCM", Len: 8, CycleMilliseconds: 10, movesPerMille: 120,
			Signals: []Signal{
				intel("DoorState"+corner, 0, 2).names(doorNames).from(qDoorFL + quantity(i)),
				bit("DoorLocked"+corner, 2, qLocked),
				window,
				intel("DoorMotorCurrent"+corner, 16, 8).physical(0.1, 0, "A").walks(0.2, 0.6, 0.1),
				intel("DoorTemperature"+corner, 24, 8).physical(0.5, -40, "°C").from(qCabin),
			},
		})
	}
	return messages
}
