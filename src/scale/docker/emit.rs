//! A run's instances as services of a Compose file. They have no common start and no launcher: each is a `sealbench run` of its own.

use std::path::Path;

use clap::ValueEnum;

use super::container::Bind;
use super::site::ContainerSite;
use crate::error::Stop;
use crate::host::cores;
use crate::phase::Engine;
use crate::scale::compose::{Mount, Service, Source};
use crate::trial::estimate::memory_of;
use crate::trial::layout::Instance;
use crate::trial::plan::Plan;

/// The services of a plan, one for each instance, each with a directory below the run's.
///
/// # Errors
/// Exit code 2 for a mix: what its later phases read is made by a launcher.
pub fn services(plan: &Plan, site: &ContainerSite, home: &Path) -> anyhow::Result<Vec<Service>> {
    if plan.spec.is_mix() {
        return Err(Stop::Usage.error(
            "--emit cannot write a mix: its later phases need what a launcher makes first; name --phases that begin with p1",
        ));
    }
    let dir = std::path::absolute(&plan.dir)?;
    let asked = plan.spec.instances.iter().zip(0..);
    let shares = site.shares(asked.map(|(one, number)| (number, &*one.cores, memory_of(&plan.spec, number))));
    let service = |(number, instance): (usize, &Instance)| -> anyhow::Result<Service> {
        let own = dir.join(format!("instance-{number}"));
        let own_text = own.display().to_string();
        let parameters = home.join("params");
        let mut binds = vec![Bind::same(&own, false)];
        binds.extend(parameters.is_dir().then(|| Bind::same(&parameters, true)));
        binds.extend(site.own(number).binds.iter().cloned());
        let places = [("SEALBENCH_HOME", own.join("home").display().to_string()), ("TMPDIR", own_text.clone())];
        let found = parameters.is_dir().then(|| ("FIL_PROOFS_PARAMETER_CACHE", parameters.display().to_string()));
        Ok(Service {
            name: format!("instance-{number}"),
            image: Some(site.image.name.clone()),
            command: words(plan, instance, &own)?,
            cpus: Some(instance.cores.clone()),
            mems: Some(shares[number].mems.clone()).filter(|mems| !mems.is_empty()),
            memory_bytes: shares[number].memory_bytes,
            mounts: binds.iter().map(mount).collect(),
            environment: places.into_iter().chain(found).map(|(name, value)| (name.to_string(), value)).collect(),
            user: Some(site.user()),
            working_dir: Some(own_text),
            // An engine that does not know PERFMON starts nothing, and Compose cannot ask again without it.
            capabilities: site.capabilities().into_iter().filter(|name| name != "PERFMON").collect(),
            ..Service::default()
        })
    };
    plan.spec.instances.iter().enumerate().map(service).collect()
}

fn mount(bind: &Bind) -> Mount {
    Mount {
        source: Source::Bind(bind.source.display().to_string()),
        target: bind.target.display().to_string(),
        read_only: bind.read_only,
    }
}

/// The command line of an instance on its own.
fn words(plan: &Plan, instance: &Instance, dir: &Path) -> anyhow::Result<Vec<String>> {
    let spec = &plan.spec;
    let phases: Vec<&str> = spec.phases.iter().map(|phase| phase.name()).collect();
    let mut words = vec!["run".to_string()];
    let mut add = |option: &str, value: String| words.extend([option.to_string(), value]);
    add("--sector-size", spec.shape.sector_size.to_string());
    add("--layers", spec.shape.layers.to_string());
    add("--partitions", spec.shape.partitions.to_string());
    add("--phases", phases.join(","));
    match spec.engines[..] {
        _ if spec.fallback => {}
        [engine] => add("--engine", engine.name().to_string()),
        _ => add("--engine", "both".into()),
    }
    if let Some(seed) = plan.seed {
        add("--seed", seed.to_string());
    }
    add("--cores", cores::format_list(&instance.cores));
    add("--threads", instance.threads.to_string());
    add("--repeats", spec.repeats.to_string());
    add("--sectors", spec.sectors.to_string());
    add("--p4-partitions-at-once", spec.p4_partitions_at_once.to_string());
    add("--params", value_name(&spec.params));
    add("--pages", value_name(&spec.native.pages));
    add("--parents", value_name(&spec.native.parents));
    add("--io", value_name(&spec.native.io));
    for (primitive, kernel) in &spec.native.kernels {
        add("--kernel", format!("{primitive}={kernel}"));
    }
    add("--run-dir", dir.join("run").display().to_string());
    add("--json", dir.join("record.json").display().to_string());
    if spec.reportable {
        words.push("--reportable".into());
    }
    if spec.engines.contains(&Engine::Mock) {
        return Err(Stop::Usage.error("--emit writes what really runs: the mock engine's script is not in the image"));
    }
    Ok(words)
}

fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is skipped").get_name().to_string()
}
