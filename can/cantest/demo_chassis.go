package cantest

func demoChassis() []Message {
	messages := []Message{
		{Name: "VehicleMotion", ID: 0x0C0, Sender: "ESC", Len: 8, CycleMilliseconds: 10, Comment: "Speed over ground from the wheels", Signals: []Signal{
			intel("VehicleSpeed", 0, 16).physical(0.01, 0, "km/h").from(qSpeed).note("Without sign; see DrivingDirection"),
			intel("LongitudinalAcceleration", 16, 12).signed().physical(0.01, 0, "m/s²").from(qAcceleration),
			bit("Standstill", 28, qStandstill),
			intel("DrivingDirection", 30, 2).names(directionNames).from(qDirection),
			counter(48), checksum(56),
		}},
		{Name: "SteeringAngleSensor", ID: 0x0C4, Sender: "EPS", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			motorola("SteeringAngle", 7, 16).signed().physical(0.1, 0, "°").from(qSteering).note("Positive to the left"),
			motorola("SteeringRate", 23, 16).signed().physical(0.5, 0, "°/s").from(qSteeringRate),
			counter(48), checksum(56),
		}},
		{Name: "BrakeHydraulics", ID: 0x0D0, Sender: "ESC", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			intel("BrakePressure", 0, 12).physical(0.1, 0, "bar").from(qBrakePressure),
			bit("BrakePedalPressed", 12, qBrakePressed),
			bit("AbsActive", 14, qABS),
			intel("BrakeDiscTemperature", 16, 10).physical(1, -40, "°C").from(qBrakeDisc),
			counter(48), checksum(56),
		}},
		{Name: "InertialSensor", ID: 0x0D4, Sender: "ESC", Len: 8, CycleMilliseconds: 10, movesPerMille: 2, Signals: []Signal{
			motorola("YawRate", 7, 16).signed().physical(0.01, 0, "°/s").from(qYawRate),
			motorola("LateralAcceleration", 23, 16).signed().physical(0.001, 0, "m/s²").from(qLateral),
			motorola("SensorTemperature", 55, 8).physical(1, -40, "°C").walks(16, 30, 1),
		}},
		{Name: "StabilityControl", ID: 0x0D8, Sender: "ESC", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			bit("StabilityAbsActive", 0, qABS),
			bit("StabilityStandstill", 1, qStandstill),
			bit("StabilityBrakeLight", 2, qBrakePressed),
			intel("StabilityFault", 3, 1),
			intel("StabilityDirection", 4, 2).names(directionNames).from(qDirection),
			intel("StabilityParkBrake", 6, 2).names(parkBrakeNames).from(qParkBrake),
		}},
		{Name: "AirbagControl", ID: 0x0FC, Sender: "ACU", Len: 8, CycleMilliseconds: 10, Signals: []Signal{
			intel("BeltDriver", 0, 1).names(beltNames).from(qBeltDriver),
			intel("BeltPassenger", 1, 1).names(beltNames).from(qBeltPassenger),
			intel("CrashSeverity", 8, 8),
			intel("AirbagLamp", 16, 1),
		}},
		{Name: "ElectricParkingBrake", ID: 0x128, Sender: "ESC", Len: 4, CycleMilliseconds: 20, Signals: []Signal{
			intel("ParkBrakeState", 0, 2).names(parkBrakeNames).from(qParkBrake),
			intel("ParkBrakeFault", 2, 1),
		}},
		{Name: "AdaptiveDamping", ID: 0x12C, Sender: "ESC", Len: 8, CycleMilliseconds: 20, movesPerMille: 400, Signals: []Signal{
			motorola("DamperCurrentFL", 7, 10).physical(2, 0, "mA").walks(300, 1600, 30),
			motorola("DamperCurrentFR", 23, 10).physical(2, 0, "mA").walks(300, 1600, 30),
			motorola("DamperCurrentRL", 39, 10).physical(2, 0, "mA").walks(300, 1600, 30),
			motorola("DamperCurrentRR", 55, 10).physical(2, 0, "mA").walks(300, 1600, 30),
		}},
		{Name: "BrakeBooster", ID: 0x134, Sender: "ESC", Len: 8, CycleMilliseconds: 20, movesPerMille: 60, Signals: []Signal{
			intel("BoosterVacuum", 0, 10).physical(1, 0, "hPa").walks(600, 820, 5),
			intel("BoosterPumpCurrent", 16, 8).physical(0.2, 0, "A").walks(0, 12, 1),
			bit("BoosterBrakeSwitch", 24, qBrakePressed),
		}},
		{Name: "SteeringAssist", ID: 0x1A4, Sender: "EPS", Len: 8, CycleMilliseconds: 50, movesPerMille: 500, Signals: []Signal{
			motorola("SteeringTorque", 7, 12).signed().physical(0.01, 0, "Nm").walks(-4, 4, 0.2),
			motorola("SteeringMotorCurrent", 23, 12).signed().physical(0.05, 0, "A").walks(-40, 40, 2),
		}},
		{Name: "TyrePressures", ID: 0x1A8, Sender: "ESC", Len: 8, CycleMilliseconds: 50, movesPerMille: 10, Signals: []Signal{
			intel("TyrePressureFL", 0, 8).physical(0.02, 0, "bar").walks(2.3, 2.6, 0.02),
			intel("TyrePressureFR", 8, 8).physical(0.02, 0, "bar").walks(2.3, 2.6, 0.02),
			intel("TyrePressureRL", 16, 8).physical(0.02, 0, "bar").walks(2.2, 2.5, 0.02),
			intel("TyrePressureRR", 24, 8).physical(0.02, 0, "bar").walks(2.2, 2.5, 0.02),
		}},
		{Name: "BrakeWear", ID: 0x218, Sender: "ESC", Len: 8, CycleMilliseconds: 100, movesPerMille: 5, Signals: []Signal{
			intel("PadThicknessFront", 0, 8).physical(0.1, 0, "mm").walks(8.1, 8.4, 0.1),
			intel("PadThicknessRear", 8, 8).physical(0.1, 0, "mm").walks(7.2, 7.4, 0.1),
		}},
	}
	for i, corner := range corners {
		messages = append(messages, Message{
			Name: "Wheel" + corner, ID: 0x0E0 + uint32(i), Sender: "ESC", Len: 8, CycleMilliseconds: 10, movesPerMille: 100,
			Signals: []Signal{
				motorola("WheelSpeed"+corner, 7, 16).physical(0.01, 0, "km/h").from(qWheelFL + quantity(i)),
				motorola("RideHeight"+corner, 23, 10).signed().physical(0.5, 0, "mm").walks(-35, 35, 1),
				bit("WheelAbs"+corner, 40, qABS),
			},
		})
	}
	return messages
}

// corners are the wheels and the doors: front left to rear right.
var corners = [...]string{"FL", "FR", "RL", "RR"}
