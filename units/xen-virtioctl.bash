# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for xen-virtioctl(1)

_xen_virtioctl()
{
        local commands="list show events restart doctor metrics check"
        local options="--json --backend --frontend --run-directory= --root= --help --version"
        local word=${COMP_WORDS[COMP_CWORD]} command="" candidates i

        for ((i = 1; i < COMP_CWORD; i++)); do
                [[ ${COMP_WORDS[i]} == -* ]] || command=${command:-${COMP_WORDS[i]}}
        done
        case $word,$command in
        -*) candidates=$options ;;
        ,|[^,]*,) candidates=$commands ;;
        *,show|*,restart)
                candidates=$(xen-virtioctl list 2>/dev/null |
                             while read -r device _; do
                                     [[ $device == *-*-* ]] && echo "$device"
                             done) ;;
        *,check)
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
                return ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$word")
}
complete -F _xen_virtioctl xen-virtioctl
