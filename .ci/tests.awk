# Reads the output of `go test -v ./...` and prints what a person wants of it: a
# line a package, everything that a failed package said, and in the end the tests
# that were skipped, with their reasons.
/^=== / { next }
/^ *--- SKIP: / {
	skips[++n] = $3 ":" reason
	next
}
/^(ok|FAIL|---|\?)? *\t/ || /^(ok  |FAIL|\?   )\t/ {
	if (/^FAIL/) for (i = 1; i <= lines; i++) print said[i]
	lines = 0
	if (!/no test files/) print
	next
}
{
	said[++lines] = $0
	if (/^ +[a-z0-9_]+\.go:[0-9]+: /) { reason = $0; sub(/^ +[a-z0-9_]+\.go:[0-9]+:/, "", reason) }
}
END {
	for (i = 1; i <= lines; i++) if (said[i] !~ /^(PASS|FAIL)$/) print said[i]
	if (n) print "skipped tests:"
	for (i = 1; i <= n; i++) print "  " skips[i]
}
