package main

var (
	checkCommand  = &command{name: "check"}
	spoolCommand  = &command{name: "spool"}
	statusCommand = &command{name: "status"}
)
