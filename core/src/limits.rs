//! Every bound of the engine in one place, so that memory can be reasoned about and nothing grows without a limit.
//!
//! Units are in the names. Where a bound can be configured, the constant is its default and the `_FLOOR` and
//! `_CEILING` beside it say what the config may ask for.

/// Bytes of a slice that the reader cuts from a source (the last record is never torn, so a slice is at most this).
pub const SLICE_BYTES: usize = 28 << 20;
/// Smallest slice the config may ask for.
pub const SLICE_BYTES_FLOOR: usize = 64 << 10;
/// Largest slice the config may ask for: the memory budget of the pipeline is a multiple of it.
pub const SLICE_BYTES_CEILING: usize = 64 << 20;

/// Records of a slice. Bounds what short records can make of a slice: rows and dead letters cost memory too.
pub const SLICE_RECORDS_MAX: usize = 262_144;

/// Resident memory of the engine, unless the config says otherwise: see [`crate::budget`].
pub const MEMORY_BYTES: usize = 512 << 20;
/// Least that the config may ask for.
pub const MEMORY_BYTES_FLOOR: usize = 64 << 20;
/// Most that the config may ask for.
pub const MEMORY_BYTES_CEILING: usize = 1 << 40;
/// The program itself: its pages, threads and clients.
pub const MEMORY_PROGRAM_BYTES: usize = 24 << 20;
/// Share of all memory that the allocator holds and nobody uses.
pub const MEMORY_ALLOCATOR_SHARE: usize = 16;
/// Share of all memory that the columns of one slice may take, whatever it holds.
pub const MEMORY_SLICE_SHARE: usize = 32;
/// As many of these shares.
pub const MEMORY_SLICE_SHARES: usize = 5;
/// What a followed file, thousands of times, and the journal take.
pub const MEMORY_FOLLOW_BYTES: usize = 12 << 20;
/// Room for a product dictionary in memory, where the config names one. What a larger one takes is taken from the slices.
pub const MEMORY_DICTIONARY_BYTES: usize = 8 << 20;
/// Bytes of an insert on their way: gathered small buffers, a chunk, and the same compressed.
pub const MEMORY_INSERT_BYTES: usize = 4 << 20;
/// Bytes of a batch that a worker keeps to fill them again, with the tables of its dictionaries; of a larger batch nothing.
pub const SCRATCH_BYTES_MAX: usize = 20 << 20;
/// Bytes that all insert threads together take for what they make of slices: partial aggregates, batches of dead letters.
pub const WORK_BYTES_MAX: usize = 80 << 20;
/// Bytes of rollups' texts that have room beside the rest of that.
pub const WORK_TEXT_BYTES: usize = 28 << 20;
/// Values of all low-cardinality columns of a slice that are looked up by a table; further ones are not looked up.
pub const DICTIONARY_VALUES_MAX: usize = 65_536;
/// Bytes of such a table for each value: a word, and a place of four or up to eight.
pub const DICTIONARY_VALUE_BYTES: usize = 64;
/// Least of them that a column has, whatever the number of columns.
pub const DICTIONARY_VALUES_MIN: usize = 128;
/// Values up to which a rollup's ranks are found by a hash table; more are sorted, which takes a third of the memory.
pub const RANKS_HASHED_MAX: usize = 16_384;
/// Window of a zstd frame that is read, as a power of two: 8 MiB, as RFC 8878 recommends. `zstd --long` makes larger ones.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Bytes of one record, line ending not counted. A longer one is a dead letter with its first bytes and its length.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Largest record limit the config may ask for; a record must fit in a slice.
pub const RECORD_BYTES_CEILING: usize = 16 << 20;

/// Largest length of a frame that is believed, so that a frame too long to keep can be passed over.
pub const FRAME_BYTES_CEILING: usize = 1 << 30;

/// Bytes that are kept of a record that was too long to keep whole.
pub const DEAD_LETTER_HEAD_BYTES: usize = 4 << 10;
/// Bytes of a dead letter's explanation; the rest is cut.
pub const DEAD_LETTER_DETAIL_BYTES: usize = 512;
/// Bytes of the explanations of a slice's dead letters: past it each is cut to [`DEAD_LETTER_DETAIL_SHORT_BYTES`].
pub const DEAD_LETTER_DETAILS_BYTES: usize = 8 << 20;
/// See [`DEAD_LETTER_DETAILS_BYTES`].
pub const DEAD_LETTER_DETAIL_SHORT_BYTES: usize = 64;

/// Causes of dead letters that are told apart, each a reason and a column; the columns of those behind are not.
pub const DEAD_CAUSES_MAX: usize = 256;
/// Causes that a summary shows, the most frequent ones.
pub const DEAD_CAUSES_SHOWN: usize = 5;
/// Dead letters among a hundred records from which on they are no broken records but a config that does not fit.
pub const DEAD_PERCENT_LOUD: u64 = 5;
/// Dead letters of a source below which a service does not say so.
pub const DEAD_LETTERS_LOUD_MIN: u64 = 10;
/// Milliseconds until a service says it again of the same source.
pub const DEAD_LETTERS_LOUD_EVERY_MS: u64 = 600_000;

/// Levels of nested arrays and objects in a JSON record.
pub const JSON_DEPTH_MAX: usize = 128;
/// Keys that the fast pass over JSON learns before it forgets them all and starts anew.
pub const JSON_KEYS_LEARNED: usize = 1_024;
/// Records that are walked, and then filled into columns, at once.
pub const BLOCK_RECORDS: usize = 128;
/// Bytes of records that are indexed at once: what fits in a core's own cache with its index.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Bytes of a config's file. A larger one is something else.
pub const CONFIG_BYTES_MAX: usize = 4 << 20;
/// Problems of a config that are looked for, and those that are shown.
pub const CONFIG_PROBLEMS_MAX: usize = 1_000;
/// See [`CONFIG_PROBLEMS_MAX`].
pub const CONFIG_PROBLEMS_SHOWN: usize = 20;
/// Bytes of a keyring's file.
pub const KEYRING_BYTES_MAX: usize = 1 << 20;
/// Bytes of a file of certificate authorities.
pub const CA_FILE_BYTES_MAX: usize = 8 << 20;
/// Bytes of a file that holds one secret of a config, a password or a salt.
pub const SECRET_FILE_BYTES_MAX: usize = 4 << 10;
/// Bytes of the salt of a mask: what is shorter can be found by trying.
pub const SALT_BYTES_MIN: usize = 16;

/// Columns a config may declare, the ones that a dictionary adds included.
pub const COLUMNS_MAX: usize = 1_000;
/// Bytes of the name of a column, table or rollup: ClickHouse makes file names of them.
pub const NAME_BYTES_MAX: usize = 128;
/// Characters of the comment of a table, view or column; the rest is cut.
pub const COMMENT_CHARS_MAX: usize = 1_000;
/// Elements of one list value.
pub const LIST_ITEMS_MAX: usize = 65_536;
/// Products in a dictionary.
pub const PRODUCTS_MAX: usize = 100_000;
/// Columns of a product dictionary, `id` included.
pub const DICTIONARY_COLUMNS_MAX: usize = 100;
/// Bytes of a product dictionary's file.
pub const DICTIONARY_BYTES_MAX: usize = 32 << 20;
/// Keys in a keyring.
pub const KEYS_MAX: usize = 1_024;
/// Bytes of a key id.
pub const KEY_ID_BYTES_MAX: usize = 64;

/// Bytes that are read from a file at once where they do not go straight into a slice.
pub const READ_BLOCK_BYTES: usize = 256 << 10;
/// Blocks that io_uring reads ahead. All of them are locked in memory, for which an ordinary user has 8 MiB.
pub const READ_BLOCKS_AHEAD: usize = 8;
/// Smallest file that is read past the page cache where it is not in it.
pub const READ_DIRECT_BYTES_MIN: u64 = 8 << 20;
/// Milliseconds until a reader that waits for a silent pipe looks whether it shall stop.
pub const READ_STOP_CHECK_MS: u32 = 100;

/// Bytes that a journal's segment may take before the journal is written anew without what is over. Where what lives is
/// more than half of that, twice what lives.
pub const JOURNAL_SEGMENT_BYTES: u64 = 1 << 20;
/// Largest segment that is read. Larger ones are not ours.
pub const JOURNAL_SEGMENT_BYTES_CEILING: u64 = 512 << 20;
/// Slices that a journal may hold of all sources together: those in doubt, and those done behind one in doubt.
pub const JOURNAL_SLICES_MAX: usize = 65_536;
/// Sources that a journal may know.
pub const JOURNAL_SOURCES_MAX: usize = 32_768;
/// Bytes of a source's identity in a journal.
pub const JOURNAL_IDENTITY_BYTES_MAX: usize = 256;
/// Bytes of a source's name in a journal: the longest path.
pub const JOURNAL_NAME_BYTES_MAX: usize = 4 << 10;
/// Bytes of a config that is kept with a journal, the product dictionary included.
pub const JOURNAL_CONFIG_BYTES_MAX: u64 = 40 << 20;

/// Slices of one source that a service has planned and not stored.
pub const LANE_SLICES_MAX: usize = 1_024;
/// Slices of all sources that a service has planned and not stored: few enough that ClickHouse remembers the tokens of all
/// of them, whatever order they are stored in, where they are of a day or two as logs are. One that touches more days is
/// looked for before it is sent again, as all are of which an attempt failed.
pub const PLANNED_SLICES_MAX: usize = 4_096;
/// Insert tokens that a table remembers, one a partition and insert.
pub const DEDUPLICATION_WINDOW: usize = 10_000;
/// Days of events in one insert. Each is a partition, which costs ClickHouse a part and a token: a slice that touches more
/// is several inserts, each of which ends within seconds.
pub const INSERT_DAYS_MAX: usize = 100;
/// Days from which on a slice steps aside for others where ClickHouse has too many parts.
pub const ASIDE_DAYS_MIN: usize = 4;

/// Slices of one feed that are on their way through a service at once. Full ones are bounded by the queues long before.
pub const PLANNED_AT_ONCE: usize = 64;
/// Milliseconds for which a feed waits for something new before it looks at what has come back.
pub const FEED_WAIT_MS: u64 = 50;

/// Files that are followed at once. More are refused until others are gone.
pub const FOLLOW_FILES_MAX: usize = 24_576;
/// Files of a folder among which `longshore doctor` looks for one that was renamed.
pub const WHEREABOUTS_FILES_MAX: usize = 100_000;
/// Sources that ended or vanished and are still known, so that a copy of one is not read again. The oldest is forgotten.
pub const FOLLOW_ENDED_MAX: usize = 8_192;
/// Followed files that are kept open: a quarter of the descriptors that a process usually has.
pub const FOLLOW_HANDLES_MAX: usize = 256;
/// Folders that are watched; past that, and in others' folders, the scan finds what changes.
pub const FOLLOW_WATCHES_MAX: usize = 4_096;
/// First bytes of a followed file by which it is known again.
pub const FOLLOW_HEAD_BYTES: usize = 1_024;
/// Last bytes before the position of a followed file by which it is seen that it was not rewritten.
pub const FOLLOW_TAIL_BYTES: usize = 4_096;
/// Milliseconds without growth after which the writer of a file that no pattern leads to any more has let go of it. Programs
/// that rotate logs wait for less until they tell it to open another file.
pub const FOLLOW_LET_GO_MS: u64 = 60_000;
/// Loads with one config that run beside each other.
pub const LOADS_MAX: usize = 16;
/// Inputs of a load of which is asked at once what is stored.
pub const INPUTS_LOOKED_UP: usize = 256;
/// Shortest head by which a file can be taken for a copy of another.
pub const FOLLOW_HEAD_BYTES_MIN: usize = 8;
/// Followed files with the same beginning that a new one is compared with.
pub const FOLLOW_LIKE_MAX: usize = 16;
/// Bytes of content that a follower compares at once, of all files that begin as others do: the rest follows later.
pub const FOLLOW_COMPARE_BYTES: u64 = 4 << 20;
/// Files that are compared with others at once.
pub const FOLLOW_COMPARED_MAX: usize = 16;
/// Compressed files that are open for their content at once, each with a slice of it at most.
pub const FOLLOW_DECOMPRESSED_MAX: usize = 4;
/// Bytes of content after which a compressed file makes room for one that waits; twice as many each time.
pub const FOLLOW_DECOMPRESSED_SHARE_BYTES: u64 = 256 << 20;
/// Bytes of content, of all compressed files, that are decompressed in one step to get to where reading goes on.
pub const FOLLOW_PASS_BYTES: u64 = 16 << 20;
/// Bytes of a record that is too long in which its end is looked for in one step.
pub const FOLLOW_LONG_BYTES: u64 = 32 << 20;
/// Stored bytes of a compressed file in which some content must be: more than a block of any format takes (LZ4: 4 MiB).
pub const FOLLOW_SILENT_BYTES_MAX: u64 = 8 << 20;
/// Milliseconds for which a pattern may be without a file before that is said.
pub const FOLLOW_EMPTY_MS: u64 = 60_000;
/// Milliseconds for which a loss, or what else happened to a source, is shown.
pub const NOTICE_SHOWN_MS: u64 = 24 * 60 * 60 * 1_000;
/// Such notices that are shown; of older ones the sums are left.
pub const NOTICES_SHOWN_MAX: usize = 32;
/// Milliseconds between scans of followed folders where events tell of changes.
pub const FOLLOW_SCAN_MS: u64 = 10_000;
/// Milliseconds between scans where only they do.
pub const FOLLOW_POLL_MS: u64 = 1_000;
/// A regular scan waits at least this many times as long as the last one took.
pub const FOLLOW_SCAN_COST_SHARE: u32 = 200;
/// The same for a scan that an event asks for.
pub const FOLLOW_WANTED_COST_SHARE: u32 = 20;
/// Milliseconds after a file's change in which another may leave its times as they are: they move on by ticks.
pub const FOLLOW_TICK_MS: i64 = 100;

/// Milliseconds after which a slice of a followed source is cut, though it is not full.
pub const SLICE_AGE_MS: u64 = 5_000;
/// Shortest such time that the config may ask for: every slice costs ClickHouse a part in each table.
pub const SLICE_AGE_MS_FLOOR: u64 = 100;
/// Longest such time that the config may ask for.
pub const SLICE_AGE_MS_CEILING: u64 = 3_600_000;
/// Milliseconds that a service takes at most to store what it cut, once it shall end.
pub const DRAIN_MS: u64 = 30_000;
/// Shortest such time that the config may ask for.
pub const DRAIN_MS_FLOOR: u64 = 0;
/// Longest such time that the config may ask for.
pub const DRAIN_MS_CEILING: u64 = 3_600_000;

/// Milliseconds that the start of a command may go on once an end was asked for: one that nothing keeps is over by then.
pub const STARTING_MS: u64 = 10_000;
/// Milliseconds that a process may take to end by itself once its calls to ClickHouse are over: the journal, a broker, the
/// summary. Then it ends without.
pub const CLOSING_MS: u64 = 5_000;

/// Clients of the metrics that are connected at once. One more closes the oldest that has not asked for anything yet.
pub const METRICS_CONNECTIONS_MAX: usize = 64;
/// Milliseconds that a client of the metrics may take to ask.
pub const METRICS_HEAD_MS: u64 = 2_000;
/// Milliseconds that a client of the metrics may take from connecting to having its answer.
pub const METRICS_CONNECTION_MS: u64 = 5_000;
/// Bytes of a request for metrics: its head, since it has no body.
pub const METRICS_REQUEST_BYTES_MAX: usize = 16 << 10;
/// Milliseconds in which a feed that runs makes a step; one that does not is stuck.
pub const LIVE_STEP_MS_MAX: u64 = 120_000;
/// Milliseconds between two looks whether ClickHouse answers.
pub const PING_MS: u64 = 10_000;
/// Milliseconds that ClickHouse may take to answer such a look.
pub const PING_ANSWER_MS: u64 = 5_000;

/// Products whose rows are counted one by one in a summary; those of all others together. A dictionary has no more.
pub const PRODUCTS_COUNTED_MAX: usize = PRODUCTS_MAX;
/// Bytes of the names of these products.
pub const PRODUCTS_COUNTED_BYTES_MAX: usize = 8 << 20;
/// Configs that slices were cut under whose texts a service keeps in memory. Others are read again from where they are kept.
pub const CONFIG_TEXTS_KEPT: usize = 4;

/// Slices of a partition that may be planned and not stored.
pub const KAFKA_PLAN_SLICES_MAX: usize = 64;
/// Bytes of the metadata of a committed offset: what a broker takes unless it is told otherwise.
pub const KAFKA_PLAN_BYTES_MAX: usize = 4 << 10;

/// Slices' worth of bytes that a source of topics holds before they are given away: past it nothing more is read.
pub const KAFKA_SLICES_HELD: usize = 3;
/// Partitions of a source of topics that are read at once when half of what it may hold is held.
pub const KAFKA_GROWING: usize = 4;
/// Milliseconds without a message after which a partition does not make its slice larger any more.
pub const KAFKA_QUIET_MS: u64 = 100;
/// Milliseconds that a broker waits for messages before it says that there are none: one that a fetch waits for keeps those
/// waiting that are read on meanwhile.
pub const KAFKA_FETCH_WAIT_MS: u64 = 50;
/// Partitions that one source of topics may have.
pub const KAFKA_PARTITIONS_MAX: usize = 4_096;
/// Bytes that are fetched ahead, all partitions of a source's topics together, as far as the bounds of one allow.
pub const KAFKA_PREFETCH_BYTES: usize = 32 << 20;
/// Least and most bytes that are fetched ahead of one partition.
pub const KAFKA_PREFETCH_PARTITION_BYTES: (usize, usize) = (256 << 10, 8 << 20);
/// Messages of a partition that are told at once.
pub const KAFKA_POLL_MESSAGES: usize = 4_096;
/// Bytes of a partition's messages that are told at once; the last message may exceed it.
pub const KAFKA_POLL_BYTES: usize = 1 << 20;
/// Bytes of all partitions' messages that are told at once; the last partition may exceed it.
pub const KAFKA_POLL_ALL_BYTES: usize = 8 << 20;
/// Milliseconds after which a group gives the partitions of a member that it does not hear from to others.
pub const KAFKA_SESSION_MS: u64 = 15_000;
/// Milliseconds for which a broker's answer is waited for.
pub const KAFKA_ANSWER_MS: u64 = 10_000;

/// Slices read ahead of the workers.
pub const SLICES_READ_AHEAD: usize = 1;
/// Decoded slices waiting for an inserter.
pub const SLICES_DECODED_QUEUED: usize = 1;
/// Inserts under way at once, unless the config says otherwise.
pub const INSERTS_IN_FLIGHT: usize = 2;
/// Most inserts under way at once that the config may ask for.
pub const INSERTS_IN_FLIGHT_CEILING: usize = 16;
/// Decoding threads unless the config says otherwise: one a core, up to this. Each decodes several times what a server
/// takes in, and each costs two slices of memory.
pub const WORKERS_DEFAULT_MAX: usize = 2;
/// Most decoding threads the config may ask for.
pub const WORKERS_CEILING: usize = 256;

/// Bytes of what the engine remembers of users whose first sightings ClickHouse has, all rollups together: two million
/// users. While a table grows, half as much again is taken for a moment. Users that do not fit are sent again.
pub const KNOWN_USERS_BYTES_MAX: usize = 48 << 20;
/// Bytes of the input that `longshore bench` measures on, unless told otherwise: some slices. They are kept in memory, as
/// records and as columns.
pub const BENCH_SAMPLE_BYTES: u64 = 128 << 20;
/// Largest sample that may be asked for.
pub const BENCH_SAMPLE_BYTES_CEILING: u64 = 2 << 30;
/// Repetitions of each measurement, unless told otherwise, and the most that may be asked for.
pub const BENCH_REPETITIONS: usize = 5;
/// See [`BENCH_REPETITIONS`].
pub const BENCH_REPETITIONS_CEILING: usize = 1_000;
/// Seconds after which no repetition of a measurement is begun, unless told otherwise, and the most that may be asked for.
pub const BENCH_SECONDS: u64 = 10;
/// See [`BENCH_SECONDS`].
pub const BENCH_SECONDS_CEILING: u64 = 3_600;
/// Faults of `longshore chaos`, unless told otherwise, and the most that may be asked for.
pub const CHAOS_FAULTS: u64 = 50;
/// See [`CHAOS_FAULTS`].
pub const CHAOS_FAULTS_CEILING: u64 = 100_000;

/// Milliseconds that an event may be later than the moment at which its slice was cut, unless the config says otherwise.
pub const EVENT_FUTURE_MS: u64 = DAY_MS;
/// Shortest such time that the config may ask for: clocks of producers differ.
pub const EVENT_FUTURE_MS_FLOOR: u64 = 60_000;
/// Longest such time that the config may ask for, which is as good as none.
pub const EVENT_FUTURE_MS_CEILING: u64 = 36_500 * DAY_MS;
/// Shortest time that the config may say an event is older than its slice at most: what was not reachable for a while
/// comes late.
pub const EVENT_PAST_MS_FLOOR: u64 = 3_600_000;
/// Longest such time that the config may ask for.
pub const EVENT_PAST_MS_CEILING: u64 = 36_500 * DAY_MS;

/// Columns of the key by which duplicates are told.
pub const DEDUP_KEY_COLUMNS_MAX: usize = 16;
/// Milliseconds after an event for which another one of its key is a duplicate, unless the config says otherwise.
pub const DEDUP_WINDOW_MS: u64 = 7 * DAY_MS;
/// Shortest such time that the config may ask for.
pub const DEDUP_WINDOW_MS_FLOOR: u64 = 60_000;
/// Longest such time that the config may ask for.
pub const DEDUP_WINDOW_MS_CEILING: u64 = 366 * DAY_MS;
/// Milliseconds for which a claim is kept beyond the window: how long a slice may be in doubt and still be judged as it was
/// judged first.
pub const DEDUP_CLAIMS_KEPT_MS: u64 = 7 * DAY_MS;
/// Slices that one insert thread keeps waiting for others to be stored first, before it waits itself.
pub const SLICES_BEHIND_MAX: usize = 4;
/// Milliseconds until such a slice is tried again; the double each time, up to the longest wait of any retry.
pub const BEHIND_WAIT_MS: u64 = 50;
/// Milliseconds of such a wait after which a slice that takes the last place is given back to where it comes from.
pub const BEHIND_BACK_MS: u64 = 1_000;
/// Milliseconds after which a slice that was given back is read again.
pub const BEHIND_AWAY_MS: u64 = 5_000;
/// Longest such time, which doubles whenever a slice is given back again.
pub const AWAY_MS_MAX: u64 = 120_000;

/// Rows of a slice that may be rejected by what it is stored in, one by one. Where there are more, or all of a larger slice
/// are, it is not a row's fault.
pub const REJECTED_ROWS_MAX: usize = 256;
/// Rows up to which all of a slice may be rejected.
pub const REJECTED_ALL_ROWS_MAX: usize = 16;
const DAY_MS: u64 = 86_400_000;

/// Smallest memory limit of the embedded ClickHouse the config may ask for: it takes half of that at rest.
pub const EMBEDDED_MEMORY_BYTES_FLOOR: u64 = 512 << 20;
/// Mark cache of the embedded ClickHouse: its default, 5 GiB, is made for larger machines.
pub const EMBEDDED_MARK_CACHE_BYTES: u64 = 256 << 20;
/// Seconds until the embedded ClickHouse answers, unless the caller says otherwise.
pub const EMBEDDED_START_SECONDS_MAX: u64 = 30;
/// Seconds that the embedded ClickHouse has to end by SIGTERM, before SIGKILL.
pub const EMBEDDED_STOP_SECONDS_MAX: u64 = 10;
/// Starts of the embedded ClickHouse with free ports of which another process takes one in between.
pub const EMBEDDED_STARTS_MAX: u32 = 4;
/// Bytes of a request to the gate that lets the embedded ClickHouse's start log in; it asks in a few hundred.
pub const EMBEDDED_GATE_BYTES_MAX: usize = 8 << 10;
/// Connections to that gate that are heard at once; more are closed.
pub const EMBEDDED_GATE_HEARD_MAX: usize = 64;
/// Size at which the embedded ClickHouse's log is rotated; one older log is kept.
pub const EMBEDDED_LOG_BYTES_MAX: u64 = 16 << 20;
/// Lines of that log that an error quotes, and the bytes they may take.
pub const EMBEDDED_LOG_TAIL_LINES: usize = 20;
/// See [`EMBEDDED_LOG_TAIL_LINES`].
pub const EMBEDDED_LOG_TAIL_BYTES: u64 = 4 << 10;

const _: () = assert!((CONFIG_BYTES_MAX + DICTIONARY_BYTES_MAX) as u64 <= JOURNAL_CONFIG_BYTES_MAX);
const _: () = assert!(CONFIG_PROBLEMS_SHOWN <= CONFIG_PROBLEMS_MAX);
const _: () = assert!(DEAD_CAUSES_SHOWN <= DEAD_CAUSES_MAX);
const _: () = assert!(SLICE_BYTES_FLOOR <= SLICE_BYTES && SLICE_BYTES <= SLICE_BYTES_CEILING);
const _: () = assert!(RECORD_BYTES_MAX <= RECORD_BYTES_CEILING && RECORD_BYTES_CEILING <= SLICE_BYTES_CEILING);
const _: () = assert!(RECORD_BYTES_MAX <= SLICE_BYTES, "a record of the default limit must fit in a default slice");
const _: () = assert!(READ_BLOCK_BYTES.is_multiple_of(4 << 10), "O_DIRECT reads whole sectors");
const _: () = assert!(READ_BLOCK_BYTES * READ_BLOCKS_AHEAD <= 4 << 20, "half of what a user may lock");
const _: () = assert!(DEAD_LETTER_HEAD_BYTES <= SLICE_BYTES_FLOOR);
const _: () = assert!(SLICE_BYTES_CEILING <= i32::MAX as usize / 2, "string offsets of a batch are 32 bit");
const _: () = assert!(RECORD_BYTES_CEILING < FRAME_BYTES_CEILING && FRAME_BYTES_CEILING <= u32::MAX as usize);
const _: () = assert!(JSON_KEYS_LEARNED < u16::MAX as usize, "learned keys are numbered in 16 bit");
const _: () = assert!(DICTIONARY_BYTES_MAX <= u32::MAX as usize, "text offsets of a dictionary are 32 bit");
const _: () = assert!(KEY_ID_BYTES_MAX <= u8::MAX as usize, "a frame gives a key id's length in one byte");
const _: () = assert!(
    2 * (JOURNAL_SOURCES_MAX * (JOURNAL_NAME_BYTES_MAX + JOURNAL_IDENTITY_BYTES_MAX + 64) + JOURNAL_SLICES_MAX * 256)
        < JOURNAL_SEGMENT_BYTES_CEILING as usize,
    "whatever a journal may hold can be read back"
);
const _: () = assert!(2 * PLANNED_SLICES_MAX <= DEDUPLICATION_WINDOW, "tokens of all planned slices, of two days each");
const _: () = assert!(
    4 * INSERTS_IN_FLIGHT_CEILING * INSERT_DAYS_MAX <= DEDUPLICATION_WINDOW,
    "tokens of all that is under way, of four engines with as many inserts as there may be"
);
const _: () = assert!(FOLLOW_HEAD_BYTES_MIN < FOLLOW_HEAD_BYTES && FOLLOW_HEAD_BYTES <= u16::MAX as usize);
const _: () = assert!(KAFKA_FETCH_WAIT_MS < KAFKA_QUIET_MS, "a fetch that is under way is waited for");
const _: () = assert!(FOLLOW_HANDLES_MAX <= 512, "half of the 1,024 descriptors that a process usually has");
const _: () = assert!(FOLLOW_FILES_MAX + FOLLOW_ENDED_MAX <= JOURNAL_SOURCES_MAX, "a journal has room for all sources");
const _: () = assert!(
    64 + (KAFKA_PLAN_SLICES_MAX * (8 + 10 + 1 + 5 + 10 + 8) + 16).div_ceil(3) * 4 <= KAFKA_PLAN_BYTES_MAX,
    "the longest plan fits, each slice with a config of its own"
);
const _: () = assert!(METRICS_HEAD_MS < METRICS_CONNECTION_MS && PING_ANSWER_MS < PING_MS);
