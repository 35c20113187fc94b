use super::*;

fn slurm(settings: ClusterSettings) -> Slurm {
    Slurm { settings, lead: Duration::from_secs(150) }
}

fn request() -> Request {
    Request {
        name: "words.k3.1".into(),
        script: "/r/sub/0001.sh".into(),
        logs: "/r 100%/sub/0001.{index}.log".into(),
        elements: 400,
        at_once: 100,
        exclude: Vec::new(),
    }
}

#[test]
fn nothing_is_asked_for_that_is_not_set() {
    let arguments = slurm(ClusterSettings::default()).arguments(&request()).join(" ");
    assert_eq!(
        arguments,
        "--parsable --no-requeue --export=ALL --ntasks=1 --job-name=words.k3.1 --array=0-399%100 \
         --output=/r 100%%/sub/0001.%a.log --signal=B:TERM@150"
    );
}

#[test]
fn no_lead_is_longer_than_slurm_takes() {
    let lead = Duration::from_hours(20);
    let slurm = Slurm { settings: ClusterSettings::default(), lead };
    let arguments = slurm.arguments(&request());
    assert!(arguments.contains(&"--signal=B:TERM@65535".to_owned()), "{arguments:?}");
}

#[test]
fn what_is_set_is_asked_for() {
    let settings = ClusterSettings {
        cpus: Some(16),
        mem: Some("32GiB".parse().unwrap()),
        gpus: Some("a100:2".into()),
        time: Some(Duration::from_mins(90)),
        partition: Some("batch".into()),
        options: vec!["--exclusive".into()],
        ..ClusterSettings::default()
    };
    let request = Request { exclude: vec!["n1".into(), "n7".into()], ..request() };
    let arguments = slurm(settings).arguments(&request)[8..].join(" ");
    assert_eq!(
        arguments,
        "--cpus-per-task=16 --mem=33554432K --gpus=a100:2 --time=0-01:30:00 --partition=batch --exclude=n1,n7 \
         --exclusive"
    );
}

#[test]
fn elements_are_named_by_ranges() {
    assert_eq!(lists(&[0, 1, 2, 5, 7, 8]), ["0-2,5,7-8"]);
    assert_eq!(lists(&(0..50_000).collect::<Vec<_>>()), ["0-49999"]);
    assert_eq!(lists(&[]), Vec::<String>::new());
    let many: Vec<_> = (0..2000).step_by(2).collect();
    assert_eq!(lists(&many).len(), 2);
}

#[test]
fn a_script_sets_up_and_becomes_the_runner() {
    let setup = Some("module load python/3.12".into());
    let script = slurm(ClusterSettings { setup, ..ClusterSettings::default() }).script(&[
        "/r/it's/bin/runner-{arch}".into(),
        "shard".into(),
        "1".into(),
    ]);
    assert_eq!(
        script,
        "#!/bin/bash\nmodule load python/3.12\nexec '/r/it'\\''s/bin/runner-'\"$(uname -m)\"'' shard 1 \"$SLURM_ARRAY_TASK_ID\"\n"
    );
}

#[test]
fn rows_of_another_name_are_not_ours() {
    let arrays = [(Id("12".into()), "a.b.1".to_owned()), (Id("13".into()), "a.b.2".to_owned())];
    let rows = [
        "a.b.1|12|0|F|NonZeroExitCode|19200|n1|",
        "a.b.1|12|3-5,8-9|PD|Priority|0||",
        "somebody|13|0|CD|None|0|n2|",
    ];
    let mut states = States::default();
    let arrays = [&arrays[..], &[(Id("14".into()), "a.b.3".to_owned())]].concat();
    let missing = note(&mut states, rows.into_iter().filter_map(queue::row).collect(), &arrays);
    assert_eq!(missing, [2], "nothing follows from no row at all");
    let of = |id: &str, index| states.of(&Element { id: Id(id.into()), index });
    let ended = Found::Ended { how: How::Failed, code: 75, node: "n1".into() };
    let waits = |index| matches!(of("12", index), Found::Waiting { .. });
    assert_eq!(
        [2, 3, 5, 6, 7, 8, 9, 10].map(waits),
        [false, true, true, false, false, true, true, false]
    );
    assert_eq!((of("12", 0), of("12", 1), of("13", 0)), (ended, Found::Absent, Found::Forgotten));
}

#[test]
fn a_start_in_a_distant_year_is_a_warning() {
    let soon = "sbatch: Job 4 to start at 2026-12-13T18:46:12 using 1 processors on nodes n3";
    assert_eq!(far_off(soon), None);
    assert!(far_off(&soon.replace("2026", "4748")).is_some());
}
