//! Services as a Compose file: what a container run does, for those who start containers otherwise.

use std::fmt::Write;

use super::{Mount, Service, Source};
use crate::host::cores::format_list;
use crate::yaml::{list, literal, scalar};

/// The Compose file of services. Whatever they were, in it they are confined: no network, a root that they only read, no capability but those
/// that they name, nothing privileged. It has no name and no version, so that every docker-compose since 1.27 takes it.
pub fn compose(services: &[Service]) -> String {
    if services.is_empty() {
        return "services: {}\n".to_string();
    }
    let mut text = String::from("services:\n");
    let mut volumes: Vec<&str> = Vec::new();
    for service in services {
        // Writing to a String cannot fail.
        let _ = write_service(&mut text, service);
        volumes.extend(service.mounts.iter().filter_map(|mount| match &mount.source {
            Source::Volume(Some(name)) => Some(name.as_str()),
            _ => None,
        }));
    }
    volumes.sort_unstable();
    volumes.dedup();
    if !volumes.is_empty() {
        text.push_str("volumes:\n");
    }
    for name in volumes {
        let _ = writeln!(text, "  {}: {{}}", scalar(name));
    }
    text
}

fn write_service(text: &mut String, service: &Service) -> std::fmt::Result {
    writeln!(text, "  {}:", scalar(&service.name))?;
    let words = [("image", &service.image), ("user", &service.user), ("working_dir", &service.working_dir)];
    for (key, word) in words.into_iter().filter_map(|(key, word)| Some((key, word.as_ref()?))) {
        writeln!(text, "    {key}: {}", literal(word))?;
    }
    if !service.command.is_empty() {
        writeln!(text, "    command: {}", list(service.command.iter().map(|word| literal(word))))?;
    }
    if let Some(cpus) = &service.cpus {
        writeln!(text, "    cpuset: {}", scalar(&format_list(cpus)))?;
    }
    if let Some(mems) = &service.mems {
        let mems = format_list(mems);
        writeln!(text, "    # Compose has no key for memory nodes: docker run has --cpuset-mems {mems}.")?;
    }
    if let Some(bytes) = service.memory_bytes {
        writeln!(text, "    # No swap.\n    mem_limit: {bytes}\n    memswap_limit: {bytes}")?;
    }
    text.push_str(
        "    network_mode: none\n    read_only: true\n    init: true\n    restart: \"no\"\n    cap_drop: [ALL]\n",
    );
    text.push_str("    security_opt: [\"no-new-privileges:true\"]\n");
    if !service.capabilities.is_empty() {
        writeln!(text, "    cap_add: {}", list(service.capabilities.iter().map(|name| literal(name))))?;
    }
    if service.locks_memory {
        text.push_str("    ulimits:\n      memlock: -1\n");
    }
    for (key, pairs) in [("environment", &service.environment), ("labels", &service.labels)] {
        if !pairs.is_empty() {
            writeln!(text, "    {key}:")?;
        }
        for (name, value) in pairs {
            writeln!(text, "      {}: {}", scalar(name), literal(value))?;
        }
    }
    if !service.mounts.is_empty() {
        text.push_str("    volumes:\n");
    }
    service.mounts.iter().try_for_each(|mount| write_mount(text, mount))
}

fn write_mount(text: &mut String, mount: &Mount) -> std::fmt::Result {
    let (kind, source) = match &mount.source {
        Source::Bind(path) => ("bind", Some(path)),
        Source::Volume(name) => ("volume", name.as_ref()),
        Source::Tmpfs => ("tmpfs", None),
    };
    writeln!(text, "      - type: {kind}")?;
    if let Some(source) = source {
        writeln!(text, "        source: {}", literal(source))?;
    }
    writeln!(text, "        target: {}", literal(&mount.target))?;
    if mount.read_only {
        text.push_str("        read_only: true\n");
    }
    Ok(())
}
