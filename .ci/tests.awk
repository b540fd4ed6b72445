# Reads the output of `go test -v ./...` and prints what a person wants of it: a
# line a package, everything that a failed package said, and in the end the tests
# that were skipped, with their reasons.
/^=== / { next }
/^(ok  |FAIL|\?   )\t/ { # a package's result
	if (/^FAIL/) for (i = 1; i <= lines; i++) print said[i]
	lines = 0
	if (!/no test files/) print
	next
}
/^ *--- PASS: / { next }
/^ *--- SKIP: / { skips[++skipped] = $3 ":" reason; next }
{ said[++lines] = $0 }
/^ +[a-zA-Z0-9_]+\.go:[0-9]+: / { # the last thing a test logs before it is skipped
	reason = $0
	sub(/^ +[a-zA-Z0-9_]+\.go:[0-9]+:/, "", reason)
}
END {
	for (i = 1; i <= lines; i++) if (said[i] !~ /^(PASS|FAIL)$/) print said[i]
	if (skipped) print "skipped tests:"
	for (i = 1; i <= skipped; i++) print "  " skips[i]
}
