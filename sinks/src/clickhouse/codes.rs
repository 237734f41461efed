//! ClickHouse's error codes and what each asks of us.
//!
//! The server's codes are numbers that keep their meaning over versions. The table holds those that an insert, a check
//! or a statement of ours can end in. A code that is not in it pauses: nobody knows what it means, so somebody has to
//! look. Retrying it would hide it in a log for a night; making a dead letter of it would drop rows because of what may
//! be the server's fault; and a pause keeps everything and says so.

use std::fmt;

/// What an error asks of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// It passes by waiting: send the same again under the same token.
    Retry,
    /// Somebody has to change something on the server or in the config; then the same can be sent again.
    Pause,
    /// The server rejects a value. Which row it is can be found by sending parts of the slice, but only once the tables
    /// are known to be as the config says: a changed column rejects every row with the same code.
    Isolate,
    /// The request itself is wrong: a bug of ours, or a server that does not know what we rely on.
    Refuse,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::Retry => "retry",
            ErrorKind::Pause => "pause",
            ErrorKind::Isolate => "isolate",
            ErrorKind::Refuse => "refuse",
        })
    }
}

/// What a code asks of us, whatever it says.
pub fn kind_of_code(code: u32) -> ErrorKind {
    CODES.iter().find(|(known, _, _)| *known == code).map_or(ErrorKind::Pause, |(_, _, kind)| *kind)
}

/// What ClickHouse calls a known code.
pub(super) fn name_of_code(code: u32) -> Option<&'static str> {
    CODES.iter().find(|(known, _, _)| *known == code).map(|(_, name, _)| *name)
}

/// Whether the code says that a profile or a constraint keeps the user from writing, or from setting what an insert needs.
pub(super) const fn is_bound_user(code: u32) -> bool {
    matches!(code, 164 | 452 | 472)
}

use ErrorKind::{Isolate, Pause, Refuse, Retry};

/// Every known code: its number, its name in ClickHouse, what it asks of us.
pub const CODES: [(u32, &str, ErrorKind); 117] = [
    // The connection broke inside an insert.
    (3, "UNEXPECTED_END_OF_FILE", Retry),
    // Values of a row that do not fit the column.
    (6, "CANNOT_PARSE_TEXT", Isolate),
    (7, "INCORRECT_NUMBER_OF_COLUMNS", Pause),
    (8, "THERE_IS_NO_COLUMN", Pause),
    (10, "NOT_FOUND_COLUMN_IN_BLOCK", Pause),
    (16, "NO_SUCH_COLUMN_IN_TABLE", Pause),
    (20, "NUMBER_OF_COLUMNS_DOESNT_MATCH", Pause),
    (26, "CANNOT_PARSE_QUOTED_STRING", Isolate),
    (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", Isolate),
    (32, "ATTEMPT_TO_READ_AFTER_EOF", Retry),
    (33, "CANNOT_READ_ALL_DATA", Retry),
    (38, "CANNOT_PARSE_DATE", Isolate),
    (41, "CANNOT_PARSE_DATETIME", Isolate),
    (43, "ILLEGAL_TYPE_OF_ARGUMENT", Pause),
    (44, "ILLEGAL_COLUMN", Pause),
    (46, "UNKNOWN_FUNCTION", Refuse),
    (47, "UNKNOWN_IDENTIFIER", Pause),
    (48, "NOT_IMPLEMENTED", Refuse),
    // A bug of ClickHouse: it may pass with the next merge or never, so somebody has to see it.
    (49, "LOGICAL_ERROR", Pause),
    (50, "UNKNOWN_TYPE", Refuse),
    (53, "TYPE_MISMATCH", Pause),
    (60, "UNKNOWN_TABLE", Pause),
    (62, "SYNTAX_ERROR", Refuse),
    (69, "ARGUMENT_OUT_OF_BOUND", Isolate),
    (70, "CANNOT_CONVERT_TYPE", Pause),
    (72, "CANNOT_PARSE_NUMBER", Isolate),
    (73, "UNKNOWN_FORMAT", Refuse),
    (74, "CANNOT_READ_FROM_FILE_DESCRIPTOR", Retry),
    // The disk is full, mostly.
    (75, "CANNOT_WRITE_TO_FILE_DESCRIPTOR", Retry),
    (76, "CANNOT_OPEN_FILE", Retry),
    (81, "UNKNOWN_DATABASE", Pause),
    (95, "CANNOT_READ_FROM_SOCKET", Retry),
    (96, "CANNOT_WRITE_TO_SOCKET", Retry),
    (107, "FILE_DOESNT_EXIST", Pause),
    (115, "UNKNOWN_SETTING", Refuse),
    (117, "INCORRECT_DATA", Refuse),
    (122, "INCOMPATIBLE_COLUMNS", Pause),
    (128, "TOO_LARGE_ARRAY_SIZE", Isolate),
    (130, "CANNOT_READ_ARRAY_FROM_TEXT", Isolate),
    (131, "TOO_LARGE_STRING_SIZE", Isolate),
    (158, "TOO_MANY_ROWS", Pause),
    (159, "TIMEOUT_EXCEEDED", Retry),
    (160, "TOO_SLOW", Retry),
    // The user may not write, or not set what an insert needs.
    (164, "READONLY", Pause),
    (173, "CANNOT_ALLOCATE_MEMORY", Retry),
    (192, "UNKNOWN_USER", Pause),
    (193, "WRONG_PASSWORD", Pause),
    (194, "REQUIRED_PASSWORD", Pause),
    (195, "IP_ADDRESS_NOT_ALLOWED", Pause),
    (198, "DNS_ERROR", Retry),
    (201, "QUOTA_EXCEEDED", Pause),
    (202, "TOO_MANY_SIMULTANEOUS_QUERIES", Retry),
    (203, "NO_FREE_CONNECTION", Retry),
    // A disk that cannot be synced has lost data before: trying again may seem to succeed.
    (204, "CANNOT_FSYNC", Pause),
    (209, "SOCKET_TIMEOUT", Retry),
    (210, "NETWORK_ERROR", Retry),
    (216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", Retry),
    (218, "TABLE_IS_DROPPED", Pause),
    (225, "NO_ZOOKEEPER", Retry),
    // The server shuts down.
    (236, "ABORTED", Retry),
    (241, "MEMORY_LIMIT_EXCEEDED", Retry),
    // A replica that lost its keeper.
    (242, "TABLE_IS_READ_ONLY", Retry),
    (243, "NOT_ENOUGH_SPACE", Retry),
    (244, "UNEXPECTED_ZOOKEEPER_ERROR", Retry),
    (246, "CORRUPTED_DATA", Pause),
    (248, "INVALID_PARTITION_VALUE", Pause),
    (252, "TOO_MANY_PARTS", Retry),
    (254, "NO_ACTIVE_REPLICAS", Retry),
    (265, "NO_AVAILABLE_REPLICA", Retry),
    (279, "ALL_CONNECTION_TRIES_FAILED", Retry),
    (285, "TOO_FEW_LIVE_REPLICAS", Retry),
    (286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", Retry),
    (290, "LIMIT_EXCEEDED", Pause),
    (291, "DATABASE_ACCESS_DENIED", Pause),
    (294, "CANNOT_WRITE_TO_FILE", Retry),
    (307, "TOO_MANY_BYTES", Pause),
    (319, "UNKNOWN_STATUS_OF_INSERT", Retry),
    (321, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE", Isolate),
    (341, "UNFINISHED", Retry),
    (344, "SUPPORT_IS_DISABLED", Refuse),
    // Null comes only in columns that the config calls nullable: the table's is not any more.
    (349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", Pause),
    (364, "RECEIVED_ERROR_TOO_MANY_REQUESTS", Retry),
    (376, "CANNOT_PARSE_UUID", Isolate),
    (394, "QUERY_WAS_CANCELLED", Retry),
    // A view of somebody's own throws. Its rows are ours to keep, not to drop because a view dislikes them.
    (395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", Pause),
    (396, "TOO_MANY_ROWS_OR_BYTES", Pause),
    (407, "DECIMAL_OVERFLOW", Isolate),
    (425, "SYSTEM_ERROR", Retry),
    (439, "CANNOT_SCHEDULE_TASK", Retry),
    (452, "SETTING_CONSTRAINT_VIOLATION", Pause),
    (467, "CANNOT_PARSE_BOOL", Isolate),
    (469, "VIOLATED_CONSTRAINT", Isolate),
    (471, "INVALID_SETTING_VALUE", Refuse),
    (472, "READONLY_SETTING", Pause),
    (473, "DEADLOCK_AVOIDED", Retry),
    (497, "ACCESS_DENIED", Pause),
    (499, "S3_ERROR", Retry),
    (516, "AUTHENTICATION_FAILED", Pause),
    (586, "CANNOT_CREATE_FILE", Retry),
    (636, "CANNOT_EXTRACT_TABLE_STRUCTURE", Refuse),
    (675, "CANNOT_PARSE_IPV4", Isolate),
    (676, "CANNOT_PARSE_IPV6", Isolate),
    (691, "UNKNOWN_ELEMENT_OF_ENUM", Isolate),
    (692, "TOO_MANY_MUTATIONS", Retry),
    (700, "USER_SESSION_LIMIT_EXCEEDED", Retry),
    (720, "USER_EXPIRED", Pause),
    (733, "TABLE_IS_BEING_RESTARTED", Retry),
    (735, "QUERY_WAS_CANCELLED_BY_CLIENT", Retry),
    (745, "SERVER_OVERLOADED", Retry),
    (749, "TCP_CONNECTION_LIMIT_REACHED", Retry),
    (762, "HTTP_CONNECTION_LIMIT_REACHED", Retry),
    // The token cannot be used with these settings: inserting without it could double rows.
    (764, "DEDUPLICATION_IS_NOT_POSSIBLE", Refuse),
    (774, "TABLE_IS_PERMANENTLY_READ_ONLY", Pause),
    (777, "MEMORY_RESERVATION_KILLED", Retry),
    (778, "MEMORY_RESERVATION_FAILED", Retry),
    (999, "KEEPER_EXCEPTION", Retry),
    (1000, "POCO_EXCEPTION", Retry),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_so_none_stands_twice() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_code_nobody_knows_pauses() {
        assert_eq!(kind_of_code(31_337), ErrorKind::Pause);
        assert_eq!(kind_of_code(0), ErrorKind::Pause);
    }
}
