//! Tables of 16 bytes for kernels that look a symbol up by its two hexadecimal digits, row and column of ASCII.

use super::{NO_SYMBOL, VALUES};

/// Bits of a row: one for each set of rows in which the same columns are no symbols. Rows 4 and 6 hold `A` to `O` and
/// `a` to `o`, rows 5 and 7 `P` to `Z` and `p` to `z`, row 2 `+` and `/`, row 3 the digits, and the others nothing.
pub(super) const FAULTS_OF_ROWS: [u8; 16] =
    [NOTHING, NOTHING, 1, 2, 4, 8, 4, 8, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING];

/// The bit of rows without symbols; every column has it.
const NOTHING: u8 = 16;

/// Bits of a column: those of the rows in which it is no symbol.
pub(super) const FAULTS_OF_COLUMNS: [u8; 16] = {
    let mut faults = [NOTHING; 16];
    let mut column = 0;
    while column < 16 {
        let mut row = 2;
        while row < 8 {
            if VALUES[row << 4 | column] == NO_SYMBOL {
                faults[column] |= FAULTS_OF_ROWS[row];
            }
            row += 1;
        }
        column += 1;
    }
    faults
};

/// What to add to a symbol of a row to get its value. Row 2 is for `+`; `/` takes the place of row 1, which is empty.
pub(super) const DISTANCES: [u8; 16] = {
    let first_of_rows = [0, b'/', b'+', b'0', b'A', b'P', b'a', b'p'];
    let mut distances = [0; 16];
    let mut row = 1;
    while row < first_of_rows.len() {
        let symbol = first_of_rows[row];
        distances[row] = VALUES[symbol as usize].wrapping_sub(symbol);
        row += 1;
    }
    distances
};
