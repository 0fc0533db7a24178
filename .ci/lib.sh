# shellcheck shell=bash
# What the scripts of .ci share: headings, times, clear failures.

# Ends the script with a sentence on standard error.
fail() {
    printf '.ci: %s\n' "$*" >&2
    exit 1
}

# require COMMAND...: fails unless every command exists. Nothing is skipped because it is missing.
require() {
    local command
    for command in "$@"; do
        [[ -n $(type -P "$command") ]] || fail "the command $command is missing"
    done
}

# show COMMAND...: prints the command as it could be typed.
show() {
    printf '$ %s\n' "${*@Q}" | sed "s/'\([A-Za-z0-9_.,:=/+-]\{1,\}\)'/\1/g"
}

# run COMMAND...: shows the command, then runs it.
run() {
    show "$@"
    "$@"
}

# step HEADING COMMAND...: a heading, the command, the time it took. Ends the script when the command fails.
step() {
    local heading=$1 began=$SECONDS
    shift
    printf '\n== %s\n' "$heading"
    # Not inside `if` or `||`: bash switches `set -e` off for everything that runs there.
    "$@"
    printf -- '-- %s: %d s\n' "$heading" $((SECONDS - began))
}

# since TIME: the seconds from TIME, a value of EPOCHREALTIME, to now, with two decimals.
since() {
    local from=${1/[.,]/} now=${EPOCHREALTIME/[.,]/}
    local hundredths=$(((now - from) / 10000))
    printf '%d.%02d' $((hundredths / 100)) $((hundredths % 100))
}
