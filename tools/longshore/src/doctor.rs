//! `longshore doctor`: what a journal says, and what can be done if it is damaged. Changes and locks nothing.

use std::fmt::Write as _;

use anyhow::anyhow;
use longshore_core::words::plural;
use longshore_ingest::files::{self, SourceFile, Whereabouts};
use longshore_ingest::journal::{Behind, Condition, Inspection, KnownSource, Machine, inspect};
use serde_json::{Value, json};

use crate::cli::DoctorArgs;
use crate::exit::{CommandResult, Exit, OrExit};
use crate::output::say;

/// Slices in doubt that are printed; `--json` has all.
const SLICES_PRINTED: usize = 20;

/// Prints what is in the journal. Exits with 65 if an engine would not open it.
pub(crate) fn run(args: &DoctorArgs) -> CommandResult {
    if !args.journal.is_dir() {
        let what = if args.journal.exists() { "is a file, and a journal is a directory" } else { "does not exist" };
        return Err(anyhow!("{} {what}: {WHERE}", args.journal.display())).or_exit(Exit::NoInput);
    }
    let inspection = inspect(&args.journal).or_exit(Exit::NoInput)?;
    match args.json {
        true => say!("{}", object(&inspection)),
        false => say!("{}", text(&inspection).trim_end()),
    }
    Ok(match inspection.condition {
        Condition::Empty => Exit::NoInput,
        _ if inspection.sound() => Exit::Done,
        _ => Exit::Data,
    })
}

/// Where a journal is.
const WHERE: &str =
    "the config says where the journal is, `journal` under [run]; by default it is app.journal beside app.toml";

/// For people.
fn text(inspection: &Inspection) -> String {
    let mut out = format!("journal {}\n", inspection.dir.display());
    if inspection.condition == Condition::Empty {
        return format!("{out}there is no journal here: {WHERE}\n");
    }
    let mut line = |text: String| writeln!(out, "{text}").expect("a string takes everything");
    if let Some(machine) = inspection.machine {
        line(format!("  machine {machine}, {}", if machine == Machine::this() { "this one" } else { "not this one" }));
    }
    if let Some(holder) = inspection.holder {
        let state = if holder.alive { "a process of that pid runs" } else { "no such process runs" };
        line(format!("  last opened by pid {}: {state}", holder.pid));
    }
    for (at, segment) in inspection.segments.iter().enumerate() {
        let bytes = segment.bytes.map_or("gone meanwhile".to_owned(), |bytes| plural(bytes, "byte"));
        let newest = at + 1 == inspection.segments.len();
        let note = if newest { plural(inspection.records, "record") } else { "older, does not count".to_owned() };
        line(format!("  {}: {bytes}, {note}", segment.file));
    }
    line(plural(inspection.sources.len(), "source"));
    for source in &inspection.sources {
        let in_doubt = inspection.in_doubt.iter().filter(|slice| slice.source == source.number).count();
        let (number, name) = (source.number, &source.name);
        let (position, cut_end) = (source.position, source.cut_end);
        line(format!("  {number:>5}  stored to {position}, cut to {}, {in_doubt} in doubt  {name}", cut_end.position));
        if let Some(file) = file_text(source, &files::find(source)) {
            line(format!("         {file}"));
        }
    }
    line(format!("{} in doubt", plural(inspection.in_doubt.len(), "slice")));
    for slice in inspection.in_doubt.iter().take(SLICES_PRINTED) {
        let (number, start, end, config) = (slice.source, slice.start, slice.end, slice.config);
        line(format!("  {number:>5}  slice {} at {start}..{end}, config {config}", slice.slice));
    }
    if inspection.in_doubt.len() > SLICES_PRINTED {
        line(format!("  and {} more, which --json lists", inspection.in_doubt.len() - SLICES_PRINTED));
    }
    for advice in verdict(inspection) {
        line(advice);
    }
    out
}

/// Which file a source is and what became of it, since several may have the same name.
fn file_text(source: &KnownSource, file: &SourceFile) -> Option<String> {
    let inode = file.inode.map(|inode| inode.number).unwrap_or_default();
    Some(match &file.whereabouts {
        Whereabouts::Ended => "done: it has ended, and no file is followed for it".to_owned(),
        Whereabouts::Gone => format!("gone: its file, inode {inode}, is not in that folder any more"),
        Whereabouts::Unknown => return None,
        Whereabouts::At { path, size } => {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let now = if path.as_os_str() == &*source.name { "there".to_owned() } else { format!("now {name}") };
            let read = file.stored.unwrap_or(source.cut_end.position);
            let rest = match size.saturating_sub(read) {
                0 if source.position == source.cut_end.position => "all of it stored".to_owned(),
                0 => "all of it cut".to_owned(),
                rest => format!("{} not cut yet", plural(rest, "byte")),
            };
            format!("{now}: inode {inode}, {}, {rest}", plural(*size, "byte"))
        }
    })
}

/// The same for programs.
fn file_object(source: &KnownSource, file: &SourceFile) -> Value {
    let (state, path, size) = match &file.whereabouts {
        Whereabouts::At { path, size } if path.as_os_str() == &*source.name => ("there", Some(path), Some(size)),
        Whereabouts::At { path, size } => ("renamed", Some(path), Some(size)),
        Whereabouts::Ended => ("ended", None, None),
        Whereabouts::Gone => ("gone", None, None),
        Whereabouts::Unknown => ("unknown", None, None),
    };
    json!({
        "state": state,
        "path": path.map(|path| path.display().to_string()),
        "size": size,
        "inode": file.inode.map(|inode| inode.number),
        "device": file.inode.map(|inode| inode.device),
    })
}

/// How it is, and what to do.
fn verdict(inspection: &Inspection) -> Vec<String> {
    let mut lines = Vec::new();
    match &inspection.condition {
        Condition::Sound => lines.push("the segment is sound".to_owned()),
        Condition::Torn { offset, bytes } => lines.push(format!(
            "the segment is sound up to offset {offset}; {} behind it: being written, or left by a crash. The engine cuts \
             that off when it opens the journal, nothing acknowledged is lost",
            plural(*bytes, "byte")
        )),
        Condition::Damaged { offset, expected, behind } => {
            lines.push(format!("DAMAGED at offset {offset}: expected {expected}"));
            let records = plural(inspection.records, "record");
            lines.push(format!("  readable before it: {records}, which is what is printed above"));
            lines.extend(readable_behind(behind));
            lines.extend(start_anew(inspection));
        }
        Condition::Version(version) => lines.push(format!(
            "the journal is of format {version}, which this version does not read: run the version that wrote it"
        )),
        Condition::Missing { number } => {
            lines.push(format!("MISSING: the lock file says that segment {number} was written, and it is not there"));
            lines.extend(start_anew(inspection));
        }
        Condition::Empty => lines.push("there is no journal here".to_owned()),
    }
    for hash in &inspection.bad_configs {
        lines.push(format!(
            "MISSING: config-{hash}.toml is absent or not what it was, and slices in doubt were cut under it: put the \
             text back that the engine was given then"
        ));
    }
    lines
}

fn readable_behind(behind: &Behind) -> Vec<String> {
    let Some(offset) = behind.offset else { return vec!["  readable behind it: nothing".to_owned()] };
    let Behind { cut, done, other, .. } = behind;
    let mut lines = vec![format!(
        "  readable behind it, from offset {offset}: {} cut, {done} done, {}",
        plural(*cut, "slice"),
        plural(*other, "other record")
    )];
    lines.extend(behind.cut_ends.iter().map(|(source, end)| format!("    source {source} was cut to {end} at least")));
    lines
}

fn start_anew(inspection: &Inspection) -> [String; 3] {
    let dir = inspection.dir.display();
    [
        "what can be done:".to_owned(),
        format!("  1. stop the engine and copy {dir} away as it is; look at the kernel's log for disk errors"),
        "  2. put the file back from a copy of the same segment, if there is one: slices that it does not know are cut \
         again, the same; without one, start with an empty journal, for which all sources are new. The ledger table \
         has the slices that are stored whole; those cut and not in it may be stored in part"
            .to_owned(),
    ]
}

/// For programs.
fn object(inspection: &Inspection) -> Value {
    let condition = match &inspection.condition {
        Condition::Sound => json!({ "state": "sound" }),
        Condition::Torn { offset, bytes } => json!({ "state": "torn", "offset": offset, "bytes": bytes }),
        Condition::Damaged { offset, expected, behind } => json!({
            "state": "damaged", "offset": offset, "expected": expected, "records_before": inspection.records,
            "behind": {
                "offset": behind.offset, "cut": behind.cut, "done": behind.done, "other": behind.other,
                "cut_ends": behind.cut_ends.iter().map(|(source, end)| json!({ "source": source.0, "end": end }))
                    .collect::<Vec<_>>(),
            },
        }),
        Condition::Version(version) => json!({ "state": "other_version", "version": version }),
        Condition::Missing { number } => json!({ "state": "missing_segment", "number": number }),
        Condition::Empty => json!({ "state": "empty" }),
    };
    let sources = inspection.sources.iter().map(|source| {
        json!({
            "number": source.number.0, "name": *source.name, "position": source.position, "cut_end": source.cut_end.position,
            "identity": source.identity.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "file": file_object(source, &files::find(source)),
        })
    });
    let in_doubt = inspection.in_doubt.iter().map(|slice| {
        json!({
            "slice": slice.slice.to_string(), "source": slice.source.0, "start": slice.start, "end": slice.end,
            "config": slice.config.to_string(), "records": slice.records,
        })
    });
    let segments = inspection.segments.iter();
    json!({
        "journal": inspection.dir.display().to_string(),
        "sound": inspection.sound(),
        "machine": inspection.machine.map(|machine| machine.to_string()),
        "this_machine": inspection.machine.map(|machine| machine == Machine::this()),
        "holder": inspection.holder.map(|holder| json!({ "pid": holder.pid, "alive": holder.alive })),
        "segments": segments.map(|segment| json!({ "file": segment.file, "bytes": segment.bytes })).collect::<Vec<_>>(),
        "records": inspection.records,
        "condition": condition,
        "sources": sources.collect::<Vec<_>>(),
        "in_doubt": in_doubt.collect::<Vec<_>>(),
        "bad_configs": inspection.bad_configs.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
