//! Shell scripts for a machine. Without a word on the command line each one says what it would do and does nothing.

use std::fmt::Write;

use super::{Machine, Pages};
use crate::shell;

/// What `mounts.sh` and `huge-pages.sh` have in common.
const HEAD: &str = "#!/bin/sh\nset -eu\n";

/// `huge-pages.sh`: reserves huge pages on the NUMA nodes whose instances use them, and gives back what was before.
pub fn huge_pages(machine: &Machine) -> String {
    let Pages { kib, .. } = machine.pages;
    let wanted: Vec<String> =
        machine.pages_by_node().iter().enumerate().map(|(node, pages)| format!("{node}:{pages}")).collect();
    format!(
        r#"{HEAD}# Huge pages of {kib} KiB for p1: "huge-pages.sh apply" reserves them, "huge-pages.sh undo" gives them back.
# Without a word it only says what it would do.
wanted='{wanted}' # NUMA node:pages
mount='{mount}'
before='/run/sealbench-huge-pages.before'

pages_of() {{
    printf '/sys/devices/system/node/node%s/hugepages/hugepages-{kib}kB/nr_hugepages' "$1"
}}

say() {{
    for pair in $wanted; do
        file=$(pages_of "${{pair%%:*}}")
        printf 'write %s to %s (now %s)\n' "${{pair#*:}}" "$file" "$(cat "$file" 2>/dev/null || printf 'absent')"
    done
    printf 'mount hugetlbfs with pages of {kib} KiB at %s\n' "$mount"
}}

set_pages() {{
    file=$(pages_of "$1")
    printf 'write %s to %s\n' "$2" "$file"
    printf '%s\n' "$2" >"$file"
}}

undo() {{
    if mountpoint -q "$mount"; then
        printf 'remove files left in %s, unmount it\n' "$mount"
        # Files in it keep their pages.
        find "$mount" -mindepth 1 -xdev -type f -print -delete
        umount "$mount"
    fi
    while IFS=: read -r node pages; do
        set_pages "$node" "$pages"
    done <"$before"
    rm "$before"
}}

case "${{1:-}}" in
apply)
    if [ -e "$before" ]; then
        printf '%s is there: the pages are reserved already; undo first\n' "$before" >&2
        exit 1
    fi
    say
    for pair in $wanted; do
        printf '%s:%s\n' "${{pair%%:*}}" "$(cat "$(pages_of "${{pair%%:*}}")")"
    done >"$before.new"
    mv "$before.new" "$before"
    for pair in $wanted; do
        set_pages "${{pair%%:*}}" "${{pair#*:}}"
        got=$(cat "$(pages_of "${{pair%%:*}}")")
        if [ "$got" -lt "${{pair#*:}}" ]; then
            printf 'the kernel gave %s of %s pages on node %s: memory is in use or in pieces; free it or reserve at boot\n' \
                "$got" "${{pair#*:}}" "${{pair%%:*}}" >&2
            undo
            exit 1
        fi
    done
    mkdir -p "$mount"
    mount -t hugetlbfs -o pagesize={kib}K none "$mount"
    ;;
undo)
    if [ ! -e "$before" ]; then
        printf '%s is not there: nothing to undo\n' "$before" >&2
        exit 1
    fi
    undo
    ;;
'')
    printf 'Nothing is changed without a word. "apply" would:\n'
    say
    printf '"undo" would unmount it, remove files left in it, and write the numbers that were there before.\n'
    ;;
*)
    printf 'usage: %s [apply|undo]\n' "$0" >&2
    exit 2
    ;;
esac
"#,
        wanted = wanted.join(" "),
        mount = machine.pages.mount(),
    )
}

/// `mounts.sh`: whether everything is mounted, and the directories that containers need on it.
pub fn mounts(machine: &Machine) -> String {
    let (mut volumes, mut directories) = (String::new(), String::new());
    for (index, volume) in machine.sku.volumes.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(volumes, "volume {} {}", path(machine, index), (volume.size / 1024.0) as u64);
    }
    for instance in &machine.instances {
        let _ = match instance.volume {
            Some(place) => {
                writeln!(directories, "directory {}/tmp/{}", path(machine, place.index), instance.name)
            }
            None => writeln!(directories, "directory \"$SCRATCH\"/{}", instance.name),
        };
    }
    format!(
        r#"{HEAD}# Checks that all volumes are mounted; "mounts.sh prepare" also makes the containers' directories on them.
cd "$(dirname "$0")"
. ./.env
mode=${{1:-check}}
missing=0
case "$mode" in
check | prepare) ;;
*)
    printf 'usage: %s [check|prepare]\n' "$0" >&2
    exit 2
    ;;
esac

# A path and its planned size in KiB.
volume() {{
    if ! mountpoint -q -- "$1"; then
        printf 'not mounted: %s\n' "$1" >&2
        missing=1
        return
    fi
    has=$(df -Pk -- "$1" | awk 'NR == 2 {{ print $2 }}')
    printf 'mounted: %s, %s KiB of %s planned\n' "$1" "$has" "$2"
}}

directory() {{
    if [ "$mode" = prepare ] && [ "$missing" = 0 ]; then
        printf 'make %s\n' "$1"
        mkdir -p -- "$1"
    fi
}}

{volumes}{directories}exit "$missing"
"#
    )
}

fn path(machine: &Machine, volume: usize) -> String {
    machine.mount(volume).map_or_else(|| format!("\"$VOLUME_{volume}\""), shell::word)
}
