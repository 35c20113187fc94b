# What follows knows job files, and the keys and values of --set.
complete -c runner -l set -x -a '(runner _complete -- (commandline -opc)[2..])'
complete -c runner -k -a '(__fish_complete_suffix .toml)'
