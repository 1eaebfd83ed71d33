//! Whether output is right: against the reference's earlier output, against the other engine, and through the verifiers.

use std::collections::BTreeMap;

use crate::phase::{Engine, Phase};
use crate::sector::manifest::FileEntry;
use crate::sector::{Shape, files};
use crate::store::Store;
use crate::trial::record::{Finding, Output, PhaseRecord, Severity, Verified};
use crate::trial::spec::Spec;

/// Between the digests and commitments of a batch's sectors.
pub const BETWEEN_SECTORS: &str = ";";

/// What identifies a sector's output up to c1: the shape without its partitions, and the ids. The data follows from the seed only, so a
/// sector that came from benchy is told apart by its comm_d, which every comparison includes.
pub fn key(spec: &Spec, sector: u32) -> String {
    let identity = spec.identity.in_batch(sector);
    let text = format!("{} {} {identity:?}", spec.shape.sector_size, spec.shape.layers);
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The digests of the sectors of a batch, joined.
pub fn digests(phase: Phase, shape: &Shape, sectors: &[Vec<FileEntry>]) -> Option<String> {
    let digests: Option<Vec<String>> = sectors.iter().map(|entries| digest(phase, shape, entries)).collect();
    Some(digests?.join(BETWEEN_SECTORS))
}

/// The digest of a phase's output: p1's layers in order, joined by commas; the file of c1 and p4; none for p2, whose commitments say it.
fn digest(phase: Phase, shape: &Shape, entries: &[FileEntry]) -> Option<String> {
    let names = match phase {
        Phase::P1 => files::layers(shape),
        Phase::P2 => return None,
        Phase::C1 => vec![files::C1_OUTPUT.into()],
        Phase::P4 => vec![files::PROOF.into()],
    };
    let digests: BTreeMap<&str, &str> =
        entries.iter().map(|entry| (entry.name.as_str(), entry.blake3.as_str())).collect();
    let found: Option<Vec<&str>> = names.iter().map(|name| digests.get(name.as_str()).copied()).collect();
    Some(found?.join(","))
}

/// Checks a phase's output against the commitment of the data, computed when the data was made, and p1's and p2's against what the
/// reference made earlier for the same sectors, as far as it has.
pub fn check(record: &mut PhaseRecord, comm_d: Option<&str>, known: &[Option<Output>]) -> Option<Finding> {
    if let (Some(expected), Some(got)) = (comm_d, &record.output.comm_d)
        && expected != got
    {
        record.verified.ok = Some(false);
        let text = format!("{} of {} committed to {got} where the data is {expected}", record.phase, record.engine);
        return Some(Finding::new("comm-d-mismatch", Severity::Error, text));
    }
    let made = by_sector(&record.output);
    let same_data = |known: &&Output| known.comm_d == record.output.comm_d;
    let pairs: Vec<(&Output, &Output)> =
        made.iter().zip(known).filter_map(|(made, known)| Some((made, known.as_ref().filter(same_data)?))).collect();
    if let Some((_, expected)) = pairs.iter().find(|(made, known)| made != known) {
        record.verified = Verified { against: "reference".into(), ok: Some(false) };
        return Some(mismatch(record, "what the reference made earlier", expected));
    }
    if !pairs.is_empty() && pairs.len() == made.len() {
        record.verified = Verified { against: "reference".into(), ok: Some(true) };
    }
    None
}

/// The output of each sector of a batch.
fn by_sector(output: &Output) -> Vec<Output> {
    let split = |joined: &Option<String>| -> Vec<Option<String>> {
        joined
            .as_deref()
            .map_or(Vec::new(), |joined| joined.split(BETWEEN_SECTORS).map(|one| Some(one.into())).collect())
    };
    let [digest, comm_c, comm_r_last, comm_r] =
        [&output.digest, &output.comm_c, &output.comm_r_last, &output.comm_r].map(split);
    let of = |list: &[Option<String>], sector: usize| list.get(sector).cloned().flatten();
    (0..digest.len().max(comm_r.len()).max(1))
        .map(|sector| Output {
            digest: of(&digest, sector),
            comm_c: of(&comm_c, sector),
            comm_r_last: of(&comm_r_last, sector),
            comm_r: of(&comm_r, sector),
            ..output.clone()
        })
        .collect()
}

/// Compares p1 and p2 of two engines that ran on the same input.
pub fn across_engines(phases: &mut [PhaseRecord]) -> Vec<Finding> {
    let reference: Vec<PhaseRecord> =
        phases.iter().filter(|record| record.engine == Engine::Reference).cloned().collect();
    let natives = phases.iter_mut().filter(|record| record.engine == Engine::Native && record.phase <= Phase::P2);
    natives
        .filter_map(|native| {
            let twin = reference.iter().find(|twin| twin.phase == native.phase && twin.repeat == native.repeat)?;
            let ok = twin.output == native.output;
            native.verified = Verified { against: "reference".into(), ok: Some(ok) };
            (!ok).then(|| mismatch(native, "the reference on the same input", &twin.output))
        })
        .collect()
}

fn mismatch(record: &PhaseRecord, other: &str, expected: &Output) -> Finding {
    let got = serde_json::to_string(&record.output).unwrap_or_default();
    let expected = serde_json::to_string(expected).unwrap_or_default();
    let text =
        format!("{} of {} differs from {other}: {got} where {expected} was expected", record.phase, record.engine);
    Finding::new("output-mismatch", Severity::Error, text)
}

/// p1 and p2 that nothing else was compared with are checked by c1's verifier, which opens labels, columns and replica at the challenges.
/// Where
/// engines take turns in one chain (`chained`), any engine's c1 of that repeat and instance has read it.
pub fn through_c1(phases: &mut [PhaseRecord], chained: bool) {
    let place = |record: &PhaseRecord| (record.repeat, record.instance, record.concurrent);
    let verified: Vec<(Engine, (u32, u32, u32), bool)> = phases
        .iter()
        .filter(|record| record.phase == Phase::C1)
        .filter_map(|record| Some((record.engine, place(record), record.verified.ok?)))
        .collect();
    for record in phases.iter_mut().filter(|record| record.phase <= Phase::P2 && record.verified.ok.is_none()) {
        if let Some(&(_, _, ok)) =
            verified.iter().find(|(engine, of, _)| *of == place(record) && (chained || *engine == record.engine))
        {
            record.verified = Verified { against: "verifier".into(), ok: Some(ok) };
        }
    }
}

/// The first phase whose check failed, in a sentence.
pub fn wrong(phases: &[PhaseRecord]) -> Option<String> {
    let record = phases.iter().find(|record| record.verified.ok == Some(false))?;
    Some(format!(
        "{} of {} #{} finished, but its output is wrong (checked against: {}): see the findings",
        record.phase, record.engine, record.repeat, record.verified.against
    ))
}

/// Keeps the reference's output of p1 and p2, so that later runs of any engine are verified against it.
pub fn remember<'a>(store: &Store, spec: &Spec, phases: impl Iterator<Item = &'a PhaseRecord>) -> anyhow::Result<()> {
    phases
        .filter(|record| {
            record.engine == Engine::Reference && record.phase <= Phase::P2 && record.verified.ok != Some(false)
        })
        .try_for_each(|record| store.keep_reference_output(&key(spec, 0), record.phase, &record.output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    /// The sample's first p1 and p2, as made by each of these engines.
    fn phases(engines: &[Engine]) -> Vec<PhaseRecord> {
        let made = sample::record("20260101T000000Z-a").phases;
        let of = |engine: Engine| {
            let both =
                [Phase::P1, Phase::P2].map(|phase| made.iter().find(|record| record.phase == phase).unwrap().clone());
            both.map(|record| PhaseRecord { engine, repeat: 0, verified: unchecked(), ..record })
        };
        engines.iter().flat_map(|&engine| of(engine)).collect()
    }

    fn unchecked() -> Verified {
        Verified { against: "none".into(), ok: None }
    }

    #[test]
    fn a_broken_native_engine_is_caught_by_the_reference_on_the_same_input() {
        let mut right = phases(&[Engine::Native, Engine::Reference]);
        assert!(across_engines(&mut right).is_empty());
        assert_eq!(right[1].verified, Verified { against: "reference".into(), ok: Some(true) });
        assert_eq!(wrong(&right), None);

        let mut broken = phases(&[Engine::Native, Engine::Reference]);
        broken[1].output.comm_r = Some("00".repeat(32));
        let findings = across_engines(&mut broken);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].code == "output-mismatch" && findings[0].text.contains("p2 of native"), "{findings:?}");
        assert!(wrong(&broken).unwrap().contains("p2 of native"));
        assert_eq!(broken[0].verified.ok, Some(true), "its p1 was right");
    }

    #[test]
    fn known_output_decides_and_another_sector_does_not() {
        let [mut p1, mut p2] = phases(&[Engine::Reference]).try_into().unwrap_or_else(|_| panic!("two phases"));
        let known = [Some(p2.output.clone())];
        assert_eq!(check(&mut p2, None, &known), None);
        assert_eq!(p2.verified.ok, Some(true));
        p2.output.comm_r_last = None;
        assert_eq!(check(&mut p2, None, &known).unwrap().code, "output-mismatch");
        let other = [Some(Output { comm_d: Some("11".repeat(32)), ..Output::default() })];
        p1.verified = unchecked();
        assert_eq!((check(&mut p1, None, &other), p1.verified.ok), (None, None));
        assert_eq!(check(&mut p1, Some(&"22".repeat(32)), &[None]).unwrap().code, "comm-d-mismatch");
        assert_eq!(p1.verified.ok, Some(false));
    }

    #[test]
    fn c1_vouches_only_for_what_nothing_else_checked() {
        let mut records = phases(&[Engine::Reference]);
        records[0].verified = Verified { against: "reference".into(), ok: Some(false) };
        let c1 = PhaseRecord {
            phase: Phase::C1,
            verified: Verified { against: "verifier".into(), ok: Some(true) },
            ..records[1].clone()
        };
        records.push(c1);
        through_c1(&mut records, false);
        assert_eq!(records[0].verified.ok, Some(false));
        assert_eq!(records[1].verified, Verified { against: "verifier".into(), ok: Some(true) });
    }

    #[test]
    fn every_sector_of_a_batch_must_be_what_the_reference_made_of_it() {
        let [mut p1, _] = phases(&[Engine::Native]).try_into().unwrap_or_else(|_| panic!("two phases"));
        let known = |digest: &str| Some(Output { digest: Some(digest.into()), ..p1.output.clone() });
        let (one, two, other) = (known("1,1"), known("2,2"), known("2,3"));
        p1.output.digest = Some("1,1;2,2".into());
        assert_eq!(check(&mut p1, None, &[one.clone(), None]), None);
        assert_eq!(p1.verified.ok, None, "one of two is not all");
        assert_eq!(check(&mut p1, None, &[one.clone(), two]), None);
        assert_eq!(p1.verified.ok, Some(true));
        assert_eq!(check(&mut p1, None, &[one, other]).unwrap().code, "output-mismatch");
        assert_eq!(p1.verified.ok, Some(false));
    }

    #[test]
    fn a_chain_of_two_engines_is_checked_by_its_c1() {
        let [p1, p2] = phases(&[Engine::Native]).try_into().unwrap_or_else(|_| panic!("two phases"));
        let ok = Verified { against: "verifier".into(), ok: Some(true) };
        let c1 = PhaseRecord { phase: Phase::C1, engine: Engine::Reference, verified: ok.clone(), ..p2 };
        let mut records = [p1, c1];
        through_c1(&mut records, false);
        assert_eq!(records[0].verified, unchecked());
        through_c1(&mut records, true);
        assert_eq!(records[0].verified, ok);
    }
}
