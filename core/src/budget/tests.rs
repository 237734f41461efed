use std::path::Path as FilePath;

use super::*;
use crate::config::{self, Env};
use crate::limits::{MEMORY_BYTES, SLICE_BYTES};

/// A config with these columns beside the event time, and these sections.
fn config(columns: &str, sections: &str) -> Config {
    let text = format!(
        "version = 1\n[[column]]\nname = \"ts\"\ntype = \"timestamp\"\nformat = \"epoch_ms\"\nrequired = true\n{columns}\n\
         [products]\nfixed = \"shop\"\n[table]\ntime = \"ts\"\n{sections}"
    );
    config::parse(&text, FilePath::new("test.toml"), &Env::new()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn columns(count: usize, column: impl Fn(usize) -> String) -> String {
    (0..count).map(|number| format!("[[column]]\nname = \"c{number}\"\n{}\n", column(number))).collect()
}

fn of(columns: &str, sections: &str) -> Budget {
    Budget::of(&config(columns, sections), Command::Load)
}

#[test]
fn slices_of_usual_configs_end_where_the_limits_say() {
    let usual = |number| match number % 3 {
        0 => "type = \"low_cardinality\"".to_owned(),
        1 => "type = \"string\"".to_owned(),
        _ => "type = \"u64\"".to_owned(),
    };
    let budget = of(&columns(17, usual), "");
    assert_eq!((budget.slice_bytes, budget.records_max), (SLICE_BYTES, SLICE_RECORDS_MAX));
    // Sixty columns bound the records, to what makes 28 MiB of records of 260 bytes.
    let budget = of(&columns(60, usual), "");
    assert_eq!(budget.slice_bytes, SLICE_BYTES);
    assert!(budget.records_max > SLICE_BYTES / 260, "{}", budget.records_max);
}

#[test]
fn a_row_costs_its_columns_and_a_byte_what_copies_it() {
    // 56 of each record, 8 of its time, 4 each for product, slice and row.
    let empty = 56 + 8 + 3 * 4;
    let cost = |columns: &str| of(columns, "").cost;
    let one = |column: &str| cost(&format!("[[column]]\nname = \"a\"\n{column}\n"));
    assert_eq!(cost(""), Cost { row: empty, byte: 1_000 });
    assert_eq!(one("type = \"decimal(18,2)\"\nnullable = true"), Cost { row: empty + 16 + 1, byte: 1_000 });
    assert_eq!(one("type = \"string\"\ndefault = \"0123456789\""), Cost { row: empty + 4 + 10, byte: 1_000 });
    assert_eq!(
        one("type = \"string\"\nmask = { hash = \"q8sW1zkT5nB7yHcE2vLm\" }"),
        Cost { row: empty + 4 + 32, byte: 1_000 }
    );
    // `1,` becomes eight bytes, and `"",` an end and thirty-two.
    assert_eq!(one("type = \"list(u64)\""), Cost { row: empty + 4, byte: 4_000 });
    assert_eq!(
        one("type = \"list(string)\"\nmask = { hash = \"q8sW1zkT5nB7yHcE2vLm\" }"),
        Cost { row: empty + 4, byte: 12_000 }
    );
}

#[test]
fn bytes_are_copied_along_one_chain_of_paths() {
    let chain = "[[column]]\nname = \"a\"\ntype = \"json\"\n\
                 [[column]]\nname = \"b\"\npath = \"a.b\"\ntype = \"string\"\n\
                 [[column]]\nname = \"c\"\npath = \"a.c\"\ntype = \"json\"\n\
                 [[column]]\nname = \"d\"\npath = \"a.c.d\"\ntype = \"string\"\n\
                 [[column]]\nname = \"e\"\npath = \"a.c.d\"\ntype = \"low_cardinality\"\n\
                 [[column]]\nname = \"f\"\ntype = \"string\"\n";
    assert_eq!(of(chain, "").cost.byte, 4_000, "a, a.c and a.c.d twice");
    let request = "[[column]]\nname = \"request\"\ntype = \"string\"\n[[column]]\nname = \"method\"\ntype = \"string\"\n\
                   [[column]]\nname = \"agent\"\ntype = \"string\"\n";
    let text = config(request, "");
    let access_log = Config { decode: config::DecodeSpec { format: Format::AccessLog, ..text.decode.clone() }, ..text };
    assert_eq!(Budget::of(&access_log, Command::Load).cost.byte, 2_000, "the method is in the request");
}

#[test]
fn whatever_comes_the_columns_of_a_slice_have_room() {
    for budget in [
        of("", ""),
        of(&columns(204, |_| "type = \"u64\"".to_owned()), ""),
        of(&columns(990, |_| "type = \"string\"\ndefault = \"a long text of which nobody thinks\"".to_owned()), ""),
        of(&columns(50, |_| "path = \"x\"\ntype = \"string\"".to_owned()), ""),
        of(&columns(8, |_| "type = \"list(decimal(38,2))\"".to_owned()), ""),
        of("", "[pipeline]\nslice_bytes = \"64 MiB\"\nmemory_max = \"1 GiB\"\n"),
    ] {
        budget.check().unwrap_or_else(|error| panic!("{error}"));
        let tables = DICTIONARY_VALUES_MAX * DICTIONARY_VALUE_BYTES;
        let most = budget.columns_bytes(budget.slice_bytes, budget.records_max);
        assert!(most <= budget.slice_columns_bytes + tables + (1 << 20), "{most}: {budget:?}");
        assert!(budget.records_max > 0 && budget.slice_bytes >= 1 << 20, "{budget:?}");
    }
    let sparse = of(&columns(990, |_| "type = \"u64\"".to_owned()), "");
    // 80 MiB, less 28 of bytes, by 56 + 8 + 12 + 990 * 8 bytes.
    assert_eq!((sparse.slice_bytes, sparse.records_max), (SLICE_BYTES, (52 << 20) / 7_996));
}

#[test]
fn what_cannot_fit_is_refused_with_the_sum() {
    let refused =
        |columns: &str, sections: &str| of(columns, sections).check().expect_err("it does not fit").to_string();
    let many = refused("", "[pipeline]\nworkers = 256\nslice_bytes = \"64 MiB\"\n");
    for part in [
        "256 workers keep (pipeline.workers)",
        "258 slices of 60.0 MiB (pipeline.slice_bytes)",
        "512 MiB (pipeline.memory_max)",
    ] {
        assert!(many.contains(part), "{part}: {many}");
    }
    let same = columns(990, |_| "path = \"x\"\ntype = \"string\"".to_owned());
    let same = refused(&same, "");
    assert!(same.contains("decode.record_bytes_max") && same.contains("pipeline.memory_max"), "{same}");
    let lists = columns(20, |_| "path = \"x\"\ntype = \"list(u64)\"".to_owned());
    assert!(refused(&lists, "[decode]\nrecord_bytes_max = \"16 MiB\"\n").contains("16 MiB"));
    // Whoever has more may allow more.
    of("", "[pipeline]\nworkers = 256\nslice_bytes = \"64 MiB\"\nmemory_max = \"64 GiB\"\n").check().expect("it fits");
}

#[test]
fn both_commands_fit_by_default_and_cut_files_alike() {
    let files = "[[source]]\npaths = [\"a.log\"]\n[[rollup]]\nkind = \"new_users\"\nuser = \"u\"\n";
    let columns = "[[column]]\nname = \"u\"\ntype = \"string\"\nrequired = true\n";
    let config = config(columns, files);
    let [load, run] = [Command::Load, Command::Run].map(|command| Budget::of(&config, command));
    for budget in [&load, &run] {
        budget.check().unwrap_or_else(|error| panic!("{error}"));
        assert!(budget.fixed_bytes() + budget.decoded_bytes <= MEMORY_BYTES, "{budget}");
    }
    assert_eq!((load.slice_bytes, load.records_max), (run.slice_bytes, run.records_max));
    assert!(load.decoded_bytes > run.decoded_bytes);
    let large = load.clone().with_dictionary(300 << 20);
    assert!(large.check().expect_err("no room is left").to_string().contains("the product dictionary"));
}

#[test]
fn slices_of_topics_are_as_large_as_there_is_room() {
    let topics = |count: usize| {
        let source = |number| {
            format!(
                "[[source]]\nname = \"s{number}\"\n[source.kafka]\nbrokers = [\"a:9092\"]\ntopics = [\"t{number}\"]\ngroup = \"g{number}\"\n"
            )
        };
        let sources: String = (0..count).map(source).collect();
        Budget::of(&config("", &sources), Command::Run)
    };
    let mut before = SLICE_BYTES + 1;
    for count in 1..4 {
        let budget = topics(count);
        budget.check().unwrap_or_else(|error| panic!("{count}: {error}"));
        assert!(budget.fixed_bytes() + budget.decoded_bytes <= MEMORY_BYTES, "{budget}");
        assert!(budget.topic_slice_bytes < before && budget.topic_slice_bytes > 1 << 20, "{budget}");
        before = budget.topic_slice_bytes;
    }
}

/// Slices of topics take whatever room there is, so that a dictionary needs some of its own.
#[test]
fn topics_leave_room_for_a_dictionary_of_usual_size() {
    let text = "version = 1\n[[source]]\n[source.kafka]\nbrokers = [\"a:9092\"]\ntopics = [\"t\"]\ngroup = \"g\"\n\
                [[column]]\nname = \"ts\"\ntype = \"timestamp\"\nrequired = true\n\
                [[column]]\nname = \"p\"\ntype = \"string\"\n[products]\ncolumn = \"p\"\ndictionary = \"p.csv\"\n\
                [table]\ntime = \"ts\"\n[[rollup]]\nkind = \"new_users\"\nuser = \"p\"\n";
    let config = config::parse(text, FilePath::new("test.toml"), &Env::new()).expect("a valid config");
    let budget = Budget::of(&config, Command::Run);
    for bytes in [0, 2 << 10, 4 << 20] {
        let budget = budget.clone().with_dictionary(bytes);
        budget.check().unwrap_or_else(|error| panic!("{bytes}: {error}"));
        assert!(budget.fixed_bytes() + budget.decoded_bytes <= MEMORY_BYTES, "{budget}");
    }
    assert!(budget.with_dictionary(64 << 20).check().is_err());
}

/// What most have: followed files, new users, and a dictionary.
#[test]
fn a_service_with_new_users_and_a_dictionary_needs_no_more_than_the_default() {
    let text = "version = 1\n[[source]]\npaths = [\"a.log\"]\n[[column]]\nname = \"ts\"\ntype = \"timestamp\"\nrequired = true\n\
                [[column]]\nname = \"p\"\ntype = \"string\"\n[products]\ncolumn = \"p\"\ndictionary = \"p.csv\"\n\
                [table]\ntime = \"ts\"\n[[rollup]]\nkind = \"new_users\"\nuser = \"p\"\n";
    let config = config::parse(text, FilePath::new("test.toml"), &Env::new()).expect("a valid config");
    for command in [Command::Load, Command::Run] {
        let budget = Budget::of(&config, command).with_dictionary(8 << 20);
        budget.check().unwrap_or_else(|error| panic!("{error}"));
    }
}
