# What follows knows job files, and the keys and values of --set.
_runner_job() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} key= i
    local -a words=("${COMP_WORDS[@]:1}")
    # Where `=` breaks words, a value is the third of them.
    if [[ $prev == --set && $cur != *=* ]]; then
        compopt -o nospace 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -W "$(runner _complete -- "${words[@]}" | grep '=$')" -- "$cur")
        return
    fi
    if [[ $cur == = ]]; then key=$prev cur= i=2; elif [[ $prev == = ]]; then key=${COMP_WORDS[COMP_CWORD-2]} i=3; fi
    if [[ -n $key && ${COMP_WORDS[COMP_CWORD-i]} == --set ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(runner _complete -- "${words[@]}" | sed -n "s/^$key=//p")" -- "$cur")
        return
    fi
    _runner "$@"
    # A file is a job file, unless it is the value of an option; `init` writes one of a kind.
    if [[ $cur != -* && $prev != -* && $prev != init ]]; then
        local -a files=()
        mapfile -t files < <(compgen -f -X '!*.toml' -- "$cur"; compgen -d -S / -- "$cur")
        if (( ${#files[@]} )); then
            local word
            for word in "${COMPREPLY[@]}"; do
                [[ -e $word || $word == '<FILE>...' || $word == '[FILE]...' ]] || files+=("$word")
            done
            COMPREPLY=("${files[@]}")
            compopt -o filenames 2>/dev/null
        fi
    fi
}
complete -F _runner_job -o bashdefault -o default runner
