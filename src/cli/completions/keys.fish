# What follows knows job files, the keys and values of --set, and the words that arguments can be.
complete -c runner -l set -x -a '(runner _complete -- (commandline -opc)[2..])'
complete -c runner -l model -x -a 'auto sequential threads processes async'
complete -c runner -n '__fish_runner_using_subcommand completions' -x -a 'bash zsh fish'
complete -c runner -n '__fish_runner_using_subcommand init' -a 'command shell http api python worker stages compare'
complete -c runner -n 'not __fish_runner_using_subcommand completions' -k -a '(__fish_complete_suffix .toml)'
