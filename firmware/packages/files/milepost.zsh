#compdef milepost
# Made by cmd/milepost/manual_test.go: go test ./cmd/milepost -run TestManual -update-manual

_milepost() {
	if ((CURRENT == 2)) || { ((CURRENT == 3)) && [[ $words[2] == help ]]; }; then
		local -a commands=(
			'run:read live buses and sensors, and deliver the summaries\: what a gateway does'
			'replay:summarise recorded logs second by second and deliver the summaries'
			'decode:print the frames of logs or of a pipe with their signals'
			'lint:list what is wrong with DBC files'
			'check:check a configuration and the databases that it names'
			'spool:look into a spool\: what it holds, what is delivered, what is damaged'
			'status:show how a running replay or gateway is'
			'update:bring this gateway'\''s image to another version, signed'
			'boards:list the boards and HATs, or show one with its pins and buses'
			'version:say which version this is and how it was built'
			'help:explain a command'
		)
		_describe command commands
		return
	fi
	local command=$words[2]
	shift words
	((CURRENT--))
	case $command in
	run)
		_arguments \
			'*:file:_files'
		;;
	replay)
		_arguments \
			'*--config[take everything that is not said here from the configuration FILE]:FILE:_files' \
			'*--dbc[database\: \[BUS=\]FILE, for that bus or for all that have none of their own; may be repeated]:\[BUS=\]FILE:_files' \
			'*--device[the NAME of the device in the records (replay)]:NAME:_files' \
			'*--give-up[give up on a broker that fails for so LONG; 0 is never (20s)]:LONG:_files' \
			'*--lateness[how LONG a window stays open behind the newest for late frames (1s)]:LONG:_files' \
			'*--match[HOW frames find their message\: by ID (exact), 29-bit IDs by PGN (j1939), as the DBC says (auto) (auto)]:HOW:_files' \
			'*--not-available[WHAT J1939'\''s "not available" and "error" are\: missing, or keep them as numbers (missing)]:WHAT:_files' \
			'*-o[write csv or jsonl to FILE and not to the standard output]:FILE:_files' \
			'*--quiet[print no progress and no summary]' \
			'*--resume[go on with the interrupted replay in the --spool folder]' \
			'*--speed[replay at the recorded pace (1) or N times it (10, 10x); 0 is as fast as possible]:N:_files' \
			'*--spool[keep the records in folder DIR until they are delivered]:DIR:_files' \
			'*--to[deliver to WHERE\: csv, jsonl, mqtt\://HOST\:PORT\[/TOPIC\], kafka\://HOST\:PORT\[/TOPIC\] or http\://HOST\[\:PORT\]/PATH]:WHERE:_files' \
			'*--window[the length of a window, such as 1s or 100ms; divides an hour evenly (1s)]:duration:_files' \
			'*--workers[read a log with N workers (as many as there are processors)]:N:_files' \
			'*:file:_files'
		;;
	decode)
		_arguments \
			'*--dbc[database\: \[BUS=\]FILE, for that bus or for all that have none of their own; may be repeated]:\[BUS=\]FILE:_files' \
			'*--format[FORM of the lines, text or jsonl (text)]:FORM:_files' \
			'*--known[leave out data frames that no database knows]' \
			'*--match[HOW frames find their message\: by ID (exact), 29-bit IDs by PGN (j1939), as the DBC says (auto) (auto)]:HOW:_files' \
			'*--not-available[WHAT J1939'\''s "not available" and "error" are\: missing, or keep them as numbers (missing)]:WHAT:_files' \
			'*:file:_files'
		;;
	lint)
		_arguments \
			'*:file:_files'
		;;
	check)
		_arguments \
			'*--default[print the complete default configuration, with comments]' \
			'*--for-service[only ask whether there is anything to read]' \
			'*:file:_files'
		;;
	spool)
		_arguments \
			'*--out[export to this FILE\: CSV if it ends in .csv, and else JSON lines]:FILE:_files' \
			'1:what:(ls dump verify export)' \
			'*:file:_files'
		;;
	status)
		_arguments \
			'*--json[print JSON]' \
			'*:file:_files'
		;;
	update)
		_arguments \
			'*--downgrade[take an older version, or the same]' \
			'*--healthy[how long a TIME it must be healthy, with confirm (30s)]:TIME:_files' \
			'*--json[print JSON, with status]' \
			'*--keys[the folder DIR with the public keys to trust, *.pem (/usr/share/milepost/update-keys)]:DIR:_files' \
			'*--release[the FILE that says which board and version this is (/etc/milepost-release)]:FILE:_files' \
			'*--restart[restart when the bundle is written]' \
			'*--spool[the gateway'\''s spool folder DIR, if not that of /etc/milepost/milepost.yaml, with confirm]:DIR:_files' \
			'*--within[TIME for a system on trial, with confirm (10m0s)]:TIME:_files' \
			'1:what:(status keep confirm)' \
			'*:file:_files'
		;;
	boards)
		_arguments \
			'*--json[print JSON]' \
			'*:file:_files'
		;;
	version)
		_arguments \
			'*--json[print a JSON object]' \
			'*:file:_files'
		;;
	esac
}

_milepost "$@"
