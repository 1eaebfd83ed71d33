#!/bin/bash
# slurm.sh up|down|kill|start ROOT [...]: a Slurm cluster on this machine for the tests, with its own munged, key, socket and ports.
#   up ROOT PORT TASKPLUGIN NODE:FEATURES:CPU...   munged, slurmctld, and a slurmd for each node, which owns this one CPU; PORT and those
#                                       above it
#   kill ROOT NODE                      a node dies: its slurmd and all that runs on it, and the controller hears of it
#   orphan ROOT NODE                    its slurmd dies, what runs on it goes on, and the controller takes the node for dead
#   start ROOT NODE                     a dead node comes back
#   hide ROOT NODE DIR                  a node starts anew that does not see what is in this directory
#   control ROOT                        a controller that was stopped comes back
#   down ROOT                           all of it stops
# Needs root, Debian's slurmctld, slurmd, slurm-client and munge; no systemd and no control groups.
set -euo pipefail
command=$1 root=$2
shift 2
export SLURM_CONF=$root/etc/slurm.conf

# Each node has a host name of its own, as machines do.
start() {
    unshare --uts sh -c 'hostname "$1" && exec slurmd -N "$1"' start "$1"
}

up() {
    local port=$1 plugin=$2 cpus memory n=0 node features cpu spec
    shift 2
    cpus=$(nproc --all)
    memory=$(awk '/MemTotal/ {print int($2 / 4096)}' /proc/meminfo)
    install -d -m 755 "$root" "$root"/{etc,run,log,spool}
    install -d -m 700 "$root/state"
    cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$root/run/munge.socket,cred_expire=5
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool/%n
SlurmctldPidFile=$root/run/slurmctld.pid
SlurmdPidFile=$root/run/slurmd-%n.pid
SlurmctldLogFile=$root/log/slurmctld.log
SlurmdLogFile=$root/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=$plugin
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=512
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
SlurmdTimeout=5
MessageTimeout=5
KillWait=2
MinJobAge=86400
JobRequeue=1
PropagateResourceLimits=NONE
NodeName=DEFAULT CPUs=$cpus Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=$memory State=UNKNOWN
CONF
    for word in "$@"; do
        IFS=: read -r node features cpu <<< "$word"
        n=$((n + 1))
        # What a node does not own is reserved for the system: two nodes that own the same CPU would disturb each other.
        spec=$(seq 0 $((cpus - 1)) | grep -vx "$cpu" | paste -sd,)
        # It would bind slurmd, and with it all that runs.
        [ "$plugin" = task/none ] && spec=
        echo "NodeName=$node NodeHostname=$node NodeAddr=127.0.0.1 Port=$((port + n)) Feature=$features${spec:+ CpuSpecList=$spec}"
    done >> "$SLURM_CONF"
    echo "PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=60 State=UP OverSubscribe=NO" >> "$SLURM_CONF"
    (umask 077 && dd if=/dev/urandom of="$root/etc/munge.key" bs=128 count=1 status=none)
    munged --key-file="$root/etc/munge.key" --socket="$root/run/munge.socket" --pid-file="$root/run/munged.pid" \
        --log-file="$root/log/munged.log" --seed-file="$root/run/munged.seed"
    slurmctld
    for word in "$@"; do start "${word%%:*}"; done
    for _ in $(seq 300); do
        [ "$(sinfo -h -N -o %T | grep -c '^idle$')" = "$#" ] && return 0
        sleep 0.05
    done
    echo "the nodes are not idle after 15 s:" >&2
    sinfo -N -o '%N %T %E' >&2
    tail -n 5 "$root"/log/*.log >&2
    return 1
}

# Everything of a node at once: its slurmd, the daemons of its steps, and what those started, which Slurm has named its node.
kill_node() {
    local pids pid parent parents=
    pids=$(grep -alxz "SLURMD_NODENAME=$1" /proc/[0-9]*/environ 2> /dev/null | cut -d/ -f3 || true)
    for pid in $pids; do
        parent=$(awk '/^PPid:/ {print $2}' "/proc/$pid/status" 2> /dev/null || true)
        grep -aq slurmstepd "/proc/$parent/cmdline" 2> /dev/null && parents="$parents $parent"
    done
    kill -9 "$(cat "$root/run/slurmd-$1.pid")" $parents $pids 2> /dev/null || true
    scontrol update nodename="$1" state=down reason=dead
}

orphan() {
    kill -9 "$(cat "$root/run/slurmd-$1.pid")"
    scontrol update nodename="$1" state=down reason=dead
}

hide() {
    kill "$(cat "$root/run/slurmd-$1.pid")"
    while [ -e "$root/run/slurmd-$1.pid" ]; do sleep 0.05; done
    unshare --uts --mount sh -c 'hostname "$1" && mount -t tmpfs none "$2" && exec slurmd -N "$1"' hide "$1" "$2"
    until [ "$(sinfo -h -N -n "$1" -o %T)" = idle ]; do sleep 0.05; done
}

down() {
    set +e
    local pid
    timeout 5 scancel -Q -u root
    for _ in $(seq 50); do
        [ -z "$(timeout 5 squeue -h 2> /dev/null)" ] && break
        sleep 0.1
    done
    timeout 5 scontrol shutdown
    for _ in $(seq 100); do
        ls "$root"/run/slurm*.pid > /dev/null 2>&1 || break
        sleep 0.05
    done
    for pid in "$root"/run/slurm*.pid "$root"/run/munged.pid; do [ -s "$pid" ] && kill "$(cat "$pid")" 2> /dev/null; done
    return 0
}

case $command in
    up) up "$@" ;;
    control) slurmctld ;;
    down) down ;;
    kill) kill_node "$@" ;;
    orphan) orphan "$@" ;;
    start) start "$@" ;;
    hide) hide "$@" ;;
esac
