#!/bin/bash
# A small Slurm cluster on this machine: no root, no munge, no systemd, loopback only. Packages of Debian are unpacked,
# not installed.
#
#   slurm-cluster.sh get DIR                   fetch the packages into DIR/root, once (needs apt and the network)
#   slurm-cluster.sh up DIR BASE PORT [NODES]  start a cluster in DIR with the programs of BASE; ports from PORT on
#   slurm-cluster.sh env DIR BASE              print the environment that its clients need
#   slurm-cluster.sh node DIR BASE N           start node N again
#   slurm-cluster.sh down DIR                  end its daemons, by their numbers
set -eu
cmd=$1
dir=$(realpath -m "$2")
base=$(realpath -m "${3:-$dir}")
root=$base/root
lib=$root/usr/lib/$(uname -m)-linux-gnu

packages="slurmctld slurmd slurm-client slurm-wlm-basic-plugins libmunge2 libhwloc15 liblua5.1-0"

environment() {
    echo "export PATH=$root/usr/bin:$root/usr/sbin:\$PATH SLURM_CONF=$dir/slurm.conf LD_LIBRARY_PATH=$lib:$lib/slurm-wlm"
}

configure() {
    local port=$1 nodes=$2 user
    user=$(id -un)
    cat >"$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/none
CredType=cred/none
PluginDir=$lib/slurm-wlm
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
MaxArraySize=101
MinJobAge=300
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=3
MessageTimeout=5
SlurmdParameters=config_overrides
NodeName=n[1-$nodes] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + nodes))] CPUs=1 RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
PartitionName=short Nodes=ALL MaxTime=1 State=UP
CONF
}

case $cmd in
get)
    [ -e "$base/complete" ] && exit 0
    mkdir -p "$base/deb" "$root"
    # Lists that are there may do; only root may fetch them anew.
    if [ "$(id -u)" = 0 ]; then apt-get update -qq || true; fi
    # shellcheck disable=SC2086
    (cd "$base/deb" && apt-get download -q $packages)
    for package in "$base"/deb/*.deb; do dpkg-deb -x "$package" "$root"; done
    touch "$base/complete"
    ;;
env) environment ;;
up)
    port=$4
    nodes=${5:-3}
    mkdir -p "$dir"/{state,spool,log,run}
    configure "$port" "$nodes"
    eval "$(environment)"
    slurmctld-wlm
    for node in $(seq "$nodes"); do slurmd-wlm -N "n$node" -d "$root/usr/sbin/slurmstepd-wlm"; done
    for _ in $(seq 300); do
        [ "$(sinfo -h -p all -t idle -o %D 2>/dev/null)" = "$nodes" ] && exit 0
        sleep 0.1
    done
    echo "slurm did not come up" >&2
    tail -n 20 "$dir"/log/*.log >&2
    exit 1
    ;;
node)
    eval "$(environment)"
    slurmd-wlm -N "n$4" -d "$root/usr/sbin/slurmstepd-wlm"
    ;;
down)
    # Each daemon by its own number; the controller first, so that it starts nothing more.
    for file in "$dir"/run/slurmctld.pid "$dir"/run/slurmd-*.pid; do
        [ -e "$file" ] && kill "$(cat "$file")" 2>/dev/null || true
    done
    for _ in $(seq 100); do
        left=0
        for file in "$dir"/run/*.pid; do
            [ -e "$file" ] && kill -0 "$(cat "$file")" 2>/dev/null && left=1
        done
        [ "$left" = 0 ] && exit 0
        sleep 0.1
    done
    for file in "$dir"/run/*.pid; do
        [ -e "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null || true
    done
    ;;
*)
    echo "unknown command: $cmd" >&2
    exit 2
    ;;
esac
