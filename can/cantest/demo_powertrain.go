package cantest

func demoPowertrain() []Message {
	return []Message{
		{Name: "EngineSpeedTorque", ID: 0x0A0, Sender: "ECM", Len: 8, CycleMilliseconds: 10, Comment: "Crankshaft speed and torque", Signals: []Signal{
			intel("EngineSpeed", 0, 16).physical(0.25, 0, "rpm").from(qEngineSpeed).note("Speed of the crankshaft"),
			intel("EngineTorque", 16, 12).signed().physical(0.5, 0, "Nm").from(qTorque),
			bit("EngineRunning", 28, qEngineRunning),
			intel("AcceleratorPedal", 32, 8).physical(0.4, 0, "%").from(qPedal),
			counter(48), checksum(56),
		}},
		{Name: "TorqueCoordination", ID: 0x0A4, Sender: "ECM", Len: 8, CycleMilliseconds: 10, movesPerMille: 20, Signals: []Signal{
			motorola("TorqueRequest", 7, 16).signed().physical(0.5, 0, "Nm").from(qTorqueRequest),
			motorola("TorqueLimit", 23, 12).physical(0.5, 0, "Nm").walks(380, 400, 5),
			motorola("FrictionTorque", 39, 10).physical(0.25, 0, "Nm").walks(18, 26, 1),
			intel("DriveMode", 40, 2).names(driveNames).from(qDriveMode),
		}},
		{Name: "TransmissionState", ID: 0x0B0, Sender: "TCM", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			intel("CurrentGear", 0, 4).names(gearNames).from(qGear).note("Engaged gear"),
			intel("SelectorLever", 4, 3).names(leverNames).from(qLever),
			bit("ShiftInProgress", 7, qShifting),
			motorola("TurbineSpeed", 15, 16).physical(0.25, 0, "rpm").from(qTurbineSpeed),
			motorola("OutputSpeed", 31, 16).physical(0.25, 0, "rpm").from(qOutputSpeed),
			counter(48), checksum(56),
		}},
		{Name: "HighVoltageBattery", ID: 0x0F0, Sender: "BMS", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			intel("BatteryVoltage", 0, 16).physical(0.1, 0, "V").from(qHVVoltage),
			intel("BatteryCurrent", 16, 16).signed().physical(0.1, 0, "A").from(qHVCurrent).note("Positive when it is discharged"),
			intel("StateOfCharge", 32, 10).physical(0.1, 0, "%").from(qHVCharge),
			intel("ContactorState", 42, 2).names(contactorNames).from(qContactor),
			counter(48), checksum(56),
		}},
		{Name: "ElectricMachine", ID: 0x0F4, Sender: "MCU", Len: 8, CycleMilliseconds: 10, movesPerMille: 2, Signals: []Signal{
			motorola("MotorSpeed", 7, 16).signed().physical(1, 0, "rpm").from(qMotorSpeed),
			motorola("MotorTorque", 23, 12).signed().physical(0.5, 0, "Nm").from(qMotorTorque),
			motorola("InverterTemperature", 39, 8).physical(1, -40, "°C").walks(24, 46, 1),
			motorola("StatorTemperature", 47, 8).physical(1, -40, "°C").walks(30, 60, 1),
		}},
		{Name: "PowertrainState", ID: 0x0F8, Sender: "ECM", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			intel("PowertrainIgnition", 0, 2).names(ignitionNames).from(qIgnition),
			intel("PowertrainDriveMode", 2, 2).names(driveNames).from(qDriveMode),
			bit("CombustionActive", 4, qEngineRunning),
			bit("VehicleAtRest", 5, qStandstill),
			intel("PowertrainCruiseState", 8, 2).names(cruiseNames).from(qCruise),
			intel("CoolantDisplay", 16, 8).physical(1, -40, "°C").from(qCoolant),
		}},
		{Name: "ThrottleAir", ID: 0x120, Sender: "ECM", Len: 8, CycleMilliseconds: 20, movesPerMille: 5, Signals: []Signal{
			intel("ThrottleAngle", 0, 10).physical(0.1, 0, "%").from(qThrottle),
			intel("ManifoldPressure", 16, 12).physical(1, 0, "hPa").from(qManifold),
			intel("IntakeAirTemperature", 32, 8).physical(1, -40, "°C").walks(12, 38, 1),
		}},
		{Name: "FuelInjection", ID: 0x124, Sender: "ECM", Len: 8, CycleMilliseconds: 20, movesPerMille: 300, Signals: []Signal{
			intel("FuelRate", 0, 16).physical(0.01, 0, "l/h").from(qFuelRate),
			intel("RailPressure", 16, 12).physical(0.5, 0, "bar").walks(180, 350, 4),
			motorola("Lambda", 39, 12).physical(0.001, 0, "").walks(0.985, 1.015, 0.002),
		}},
		{Name: "CruiseControl", ID: 0x130, Sender: "ECM", Len: 8, CycleMilliseconds: 20, movesPerMille: 1, Signals: []Signal{
			intel("CruiseState", 0, 2).names(cruiseNames).from(qCruise),
			intel("CruiseSetSpeed", 8, 8).physical(1, 0, "km/h").walks(100, 140, 5),
			intel("CruiseDistance", 16, 3).physical(1, 0, "").walks(1, 5, 1),
		}},
		{Name: "LowVoltageSupply", ID: 0x138, Sender: "ECM", Len: 6, CycleMilliseconds: 20, movesPerMille: 40, Signals: []Signal{
			intel("SupplyVoltage", 0, 10).physical(0.02, 0, "V").from(qVoltage),
			intel("SupplyCurrent", 16, 12).signed().physical(0.1, 0, "A").walks(-20, 60, 1),
			intel("SupplyTemperature", 32, 8).physical(1, -40, "°C").walks(14, 34, 1),
		}},
		{Name: "EngineTemperatures", ID: 0x1A0, Sender: "ECM", Len: 8, CycleMilliseconds: 50, Signals: []Signal{
			intel("CoolantTemperature", 0, 8).physical(1, -40, "°C").from(qCoolant).note("At the outlet of the cylinder head"),
			intel("OilTemperature", 8, 8).physical(1, -40, "°C").from(qOil),
			intel("OilPressure", 16, 8).physical(0.05, 0, "bar").from(qOilPressure),
			intel("GearboxOilTemperature", 24, 8).physical(1, -40, "°C").from(qGearboxOil),
		}},
		{Name: "EngineSummary", ID: 0x0CFF1021, Extended: true, Sender: "TCU", Len: 8, CycleMilliseconds: 50, Comment: "29-bit copy for telematics", Signals: []Signal{
			intel("SummaryEngineSpeed", 24, 16).physical(0.125, 0, "rpm").from(qEngineSpeed),
			intel("SummaryTorque", 8, 8).physical(2, -250, "Nm").from(qTorque),
			intel("SummaryCoolant", 40, 8).physical(1, -40, "°C").from(qCoolant),
		}},
		{Name: "BatteryCells", ID: 0x210, Sender: "BMS", Len: 8, CycleMilliseconds: 100, Comment: "Cell voltages by module", Signals: batteryCellSignals()},
		{Name: "BatteryThermal", ID: 0x214, Sender: "BMS", Len: 8, CycleMilliseconds: 100, movesPerMille: 100, Signals: []Signal{
			intel("BatteryTemperatureMean", 0, 8).physical(0.5, -40, "°C").from(qHVTemperature),
			intel("BatteryTemperatureInlet", 8, 8).physical(0.5, -40, "°C").walks(12, 24, 0.5),
			intel("BatteryPumpDuty", 16, 8).physical(0.5, 0, "%").walks(20, 60, 5),
		}},
		{Name: "FuelTank", ID: 0x2A0, Sender: "ECM", Len: 4, CycleMilliseconds: 200, Signals: []Signal{
			intel("FuelLevel", 0, 10).physical(0.1, 0, "%").from(qFuelLevel),
			intel("FuelReserve", 16, 1),
		}},
		{Name: "Odometer", ID: 0x2F0, Sender: "IPC", Len: 8, CycleMilliseconds: 1000, Signals: []Signal{
			intel("OdometerTotal", 0, 32).physical(0.001, 0, "km").from(qOdometer),
			motorola("OdometerTrip", 39, 20).physical(0.01, 0, "km").from(qTrip),
		}},
		{Name: "ServiceInterval", ID: 0x2F4, Sender: "IPC", Len: 4, CycleMilliseconds: 1000, movesPerMille: 20, Signals: []Signal{
			intel("ServiceDistance", 0, 16).physical(1, 0, "km").walks(11_980, 12_020, 1),
			intel("ServiceDays", 16, 10).physical(1, 0, "d").walks(240, 241, 1),
		}},
	}
}

// batteryCellSignals are the voltages of four modules of four cells.
func batteryCellSignals() []Signal {
	signals := []Signal{selector("ModuleIndex", 0, 4)}
	for cell := range batteryCells {
		name := "Cell" + string(rune('0'+(cell+1)/10)) + string(rune('0'+(cell+1)%10)) + "Voltage"
		signals = append(signals, intel(name, uint8(8+cell%4*12), 12).
			physical(0.001, 1.5, "V").from(qCell+quantity(cell)).group(cell/4))
	}
	return signals
}
