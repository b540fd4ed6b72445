# bash completion for milepost
# Made by cmd/milepost/manual_test.go: go test ./cmd/milepost -run TestManual -update-manual

_milepost() {
	local current=${COMP_WORDS[COMP_CWORD]} commands='run replay decode lint check spool status update boards version help' flags='' words=''
	COMPREPLY=()
	if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ ${COMP_WORDS[1]} == help ]]; }; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
		return
	fi
	case ${COMP_WORDS[1]} in
	run) flags='' words='' ;;
	replay) flags='--config --dbc --device --give-up --lateness --match --not-available -o --quiet --resume --speed --spool --to --window --workers' words='' ;;
	decode) flags='--dbc --format --known --match --not-available' words='' ;;
	lint) flags='' words='' ;;
	check) flags='--default --for-service' words='' ;;
	spool) flags='--out' words='ls dump verify export' ;;
	status) flags='--json' words='' ;;
	update) flags='--downgrade --healthy --json --keys --release --restart --spool --within' words='status keep confirm' ;;
	boards) flags='--json' words='' ;;
	version) flags='--json' words='' ;;
	esac
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$flags -h" -- "$current")
	elif ((COMP_CWORD == 2)) && [[ $words ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	else
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	fi
}

complete -F _milepost milepost
