# What follows knows job files, the keys and values of --set, and the words that arguments can be.
set -l __runner_others status report models init completions schema man
complete -c runner -n "not __fish_seen_subcommand_from $__runner_others" -l set -x -a '(runner _complete -- (commandline -opc)[2..])'
complete -c runner -n "not __fish_seen_subcommand_from compare $__runner_others" -l on -x -a slurm
complete -c runner -n "not __fish_seen_subcommand_from compare $__runner_others" -l model -x -a 'auto sequential threads processes async'
complete -c runner -n '__fish_runner_using_subcommand completions' -x -a 'bash zsh fish'
complete -c runner -n '__fish_runner_using_subcommand init' -a 'command shell http api python worker stages compare'
complete -c runner -n 'not __fish_runner_using_subcommand completions' -k -a '(__fish_complete_suffix .toml)'
