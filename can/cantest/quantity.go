package cantest

// quantity is an index into the values of a Drive. The zero quantity is none.
type quantity int32

// The quantities of the demo vehicle, in the units of their signals. Flags are 0 or 1, states the numbers of their value tables.
const (
	_ quantity = iota // what no signal follows stays 0
	// driver
	qIgnition
	qLever
	qDriveMode
	qCruise
	qParkBrake
	qPedal
	qBrakePressed
	qBrakePressure
	qSteering
	qSteeringRate
	// motion
	qSpeed
	qAcceleration
	qLateral
	qYawRate
	qStandstill
	qDirection
	qWheelFL
	qWheelFR
	qWheelRL
	qWheelRR
	qABS
	// powertrain
	qEngineRunning
	qEngineSpeed
	qTorque
	qTorqueRequest
	qGear
	qShifting
	qTurbineSpeed
	qOutputSpeed
	qThrottle
	qManifold
	qFuelRate
	qFuelLevel
	qCoolant
	qOil
	qOilPressure
	qGearboxOil
	qBrakeDisc
	// electric
	qVoltage
	qHVVoltage
	qHVCurrent
	qHVCharge
	qHVTemperature
	qContactor
	qMotorSpeed
	qMotorTorque
	qCell // of batteryCells
)

const (
	qLatitude quantity = qCell + batteryCells + iota
	qLongitude
	qHeading
	qAltitude
	qOdometer
	qTrip
	qHour
	qMinute
	qSecond
	// body
	qDoorFL
	qDoorFR
	qDoorRL
	qDoorRR
	qWindowFL
	qTailgate
	qLocked
	qBeltDriver
	qBeltPassenger
	qLights
	qTurnSignal
	qBlinkLeft
	qBlinkRight
	qWiper
	qRain
	qAmbient
	qCabin
	quantities
)

const batteryCells = 16
