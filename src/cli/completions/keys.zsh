# The keys and values of --set.
_runner_keys() {
    local -a all
    all=("${(@f)$(runner _complete -- ${words[2,-1]})}")
    compadd -S '' -- $all
}
