//! Why an element waits, as Slurm says it, and what that means: most reasons pass; some never do.

/// What a reason comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It passes by itself.
    Passes,
    /// It never passes, unless this key of `[cluster]` is changed.
    Never(&'static str),
    /// Slurm could not start it and keeps it back: it has to be taken away and submitted again.
    Held,
    /// Somebody keeps it back, and may release it.
    HeldByHand,
}

/// Reasons that do not pass, each with the key that leads to it.
const NEVER: [(&str, &str); 8] = [
    ("PartitionTimeLimit", "time"),
    ("PartitionNodeLimit", "cpus"),
    ("PartitionConfig", "partition"),
    ("BadConstraints", "constraint"),
    ("QOSTimeLimit", "time"),
    ("AssociationTimeLimit", "time"),
    ("QOSMaxMemoryPerJob", "mem"),
    ("AssocMaxMemPerJob", "mem"),
];

/// What `reason` comes to. Slurm has more reasons than one can list, and new ones with each release: unknown ones pass.
pub fn outlook(reason: &str) -> Outlook {
    if reason.contains("launch failed requeued held") || reason == "JobHoldMaxRequeue" {
        return Outlook::Held;
    }
    if reason == "JobHeldUser" || reason == "JobHeldAdmin" {
        return Outlook::HeldByHand;
    }
    if let Some((_, key)) = NEVER.iter().find(|(name, _)| *name == reason) {
        return Outlook::Never(key);
    }
    let lower = reason.to_ascii_lowercase();
    if lower.contains("maxwalldurationperjob") {
        return Outlook::Never("time");
    }
    // `QOSMaxCpuMinutesPerJobLimit`, `AssocMaxGRESPerJob` and their kin: what one job may ask for at most.
    if lower.ends_with("perjoblimit") || lower.ends_with("perjob") {
        let key = [("cpu", "cpus"), ("mem", "mem"), ("gres", "gpus"), ("wall", "time")];
        let key = key.iter().find(|(part, _)| lower.contains(part)).map_or("qos", |(_, key)| key);
        return Outlook::Never(key);
    }
    if reason.starts_with("Invalid") || reason.ends_with("NotAllowed") {
        let key = ["account", "qos", "partition"].into_iter().find(|key| lower.contains(key));
        return Outlook::Never(key.unwrap_or("options"));
    }
    Outlook::Passes
}

/// What a refusal by `sbatch` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The job as it stands is refused; this key of `[cluster]` is the likeliest cause, if it can be told.
    Settings(Option<&'static str>),
    /// There are too many jobs already, of the user or in all.
    Full,
    /// An array may not be as large.
    ArrayTooLarge,
    /// It may have come through or not.
    Unclear,
}

/// Parts of what `sbatch` says, in lower case, each with the key of `[cluster]` that leads to it.
const REFUSALS: [(&str, &str); 15] = [
    ("partition name", "partition"),
    ("invalid partition", "partition"),
    ("invalid account", "account"),
    ("invalid qos", "qos"),
    ("node configuration is not available", "cpus"),
    ("requested node config", "cpus"),
    ("more processors requested", "cpus"),
    ("cpu count per node", "cpus"),
    ("memory specification", "mem"),
    ("generic resource", "gpus"),
    ("invalid feature", "constraint"),
    ("invalid constraint", "constraint"),
    ("invalid --time", "time"),
    ("time limit", "time"),
    ("reservation", "options"),
];

/// What this refusal, as `sbatch` words it, comes to. `usage` says whether it did not even ask the controller.
pub fn refused(words: &str, usage: bool) -> Refused {
    let words = words.to_ascii_lowercase();
    let has = |part: &str| words.contains(part);
    if ["maxsubmit", "submit limit", "accounting/qos policy", "job count exceeds", "too many"]
        .into_iter()
        .any(has)
        || has("temporarily unable to accept job")
    {
        return Refused::Full;
    }
    if has("job array specification") {
        return Refused::ArrayTooLarge;
    }
    if let Some((_, key)) = REFUSALS.iter().find(|(part, _)| has(part)) {
        return Refused::Settings(Some(key));
    }
    if usage
        || has("unrecognized option")
        || has("invalid ")
        || has("not permitted")
        || has("denied")
    {
        return Refused::Settings(None);
    }
    Refused::Unclear
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_never_pass_name_their_key() {
        for (reason, outlook_) in [
            ("Priority", Outlook::Passes),
            ("Resources", Outlook::Passes),
            ("JobArrayTaskLimit", Outlook::Passes),
            ("QOSMaxJobsPerUserLimit", Outlook::Passes),
            ("PartitionTimeLimit", Outlook::Never("time")),
            ("QOSMaxWallDurationPerJobLimit", Outlook::Never("time")),
            ("AssocMaxCpuMinutesPerJobLimit", Outlook::Never("cpus")),
            ("QOSMaxGRESPerJob", Outlook::Never("gpus")),
            ("InvalidAccount", Outlook::Never("account")),
            ("InvalidQOS", Outlook::Never("qos")),
            ("AccountNotAllowed", Outlook::Never("account")),
            ("launch failed requeued held", Outlook::Held),
            ("JobHeldUser", Outlook::HeldByHand),
            ("SomethingOfNextYear", Outlook::Passes),
        ] {
            assert_eq!(outlook(reason), outlook_, "{reason}");
        }
    }

    #[test]
    fn refusals_are_read_by_their_words() {
        for (words, usage, expected) in [
            ("Invalid partition name specified", false, Refused::Settings(Some("partition"))),
            (
                "Batch job submission failed: Invalid account or account/partition combination specified",
                false,
                Refused::Settings(Some("account")),
            ),
            ("Invalid qos specification", false, Refused::Settings(Some("qos"))),
            (
                "Requested node configuration is not available",
                false,
                Refused::Settings(Some("cpus")),
            ),
            ("Invalid --time specification", true, Refused::Settings(Some("time"))),
            ("sbatch: unrecognized option '--frobnicate'", true, Refused::Settings(None)),
            ("Job violates accounting/QOS policy (job submit limit)", false, Refused::Full),
            ("QOSMaxSubmitJobPerUserLimit", false, Refused::Full),
            ("Invalid job array specification", false, Refused::ArrayTooLarge),
            (
                "Batch job submission failed: Socket timed out on send/recv operation",
                false,
                Refused::Unclear,
            ),
            ("Unable to contact slurm controller (connect failure)", false, Refused::Unclear),
        ] {
            assert_eq!(refused(words, usage), expected, "{words}");
        }
    }
}
