//! Bytes with a hash of all of them at their end.

use std::io::{self, Read, Write};

use protocol::hash::keccak;

use super::error::SnapshotError;

/// Bytes that are hashed at a time.
const SUMMED_BYTES: usize = 64 << 10;
/// Bytes of the hash.
const SUM_BYTES: usize = 32;

/// The hash so far, and one more block.
fn grown(sum: &[u8; SUM_BYTES], block: &[u8]) -> [u8; SUM_BYTES] {
    keccak(&[&sum[..], block].concat()).0
}

/// Writes, and hashes what it writes.
#[derive(Debug)]
pub(super) struct SummedWriter<W> {
    out: W,
    block: Vec<u8>,
    sum: [u8; SUM_BYTES],
}

impl<W: Write> SummedWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, block: Vec::with_capacity(SUMMED_BYTES), sum: [0; SUM_BYTES] }
    }

    pub(super) fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = SUMMED_BYTES.saturating_sub(self.block.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == SUMMED_BYTES {
                self.flush_block()?;
            }
        }
        Ok(())
    }

    fn flush_block(&mut self) -> io::Result<()> {
        self.sum = grown(&self.sum, &self.block);
        self.out.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Writes what is left, and the hash.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.flush_block()?;
        }
        self.out.write_all(&self.sum)?;
        self.out.flush()
    }
}

/// Reads, and hashes what it reads.
#[derive(Debug)]
pub(super) struct SummedReader<R> {
    input: R,
    /// Bytes before the hash that were not read from the input yet.
    unread: u64,
    block: Vec<u8>,
    /// Bytes of the block that were taken.
    taken: usize,
    sum: [u8; SUM_BYTES],
}

impl<R: Read> SummedReader<R> {
    /// Of an input of so many bytes, the hash included.
    pub(super) fn new(input: R, length: u64) -> Self {
        let unread = length.saturating_sub(SUM_BYTES as u64);
        Self { input, unread, block: Vec::new(), taken: 0, sum: [0; SUM_BYTES] }
    }

    /// Bytes that can still be taken.
    pub(super) fn left(&self) -> u64 {
        self.unread.saturating_add(self.block.len().saturating_sub(self.taken) as u64)
    }

    /// The next bytes; no memory is taken for more than there are.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<u8>, SnapshotError> {
        if count as u64 > self.left() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            if self.taken == self.block.len() {
                self.next_block()?;
            }
            let rest = self.block.get(self.taken..).unwrap_or_default();
            let now = rest.get(..count - bytes.len()).unwrap_or(rest);
            bytes.extend_from_slice(now);
            self.taken += now.len();
        }
        Ok(bytes)
    }

    fn next_block(&mut self) -> io::Result<()> {
        let length =
            usize::try_from(self.unread).map_or(SUMMED_BYTES, |left| left.min(SUMMED_BYTES));
        self.block.resize(length, 0);
        self.input.read_exact(&mut self.block)?;
        self.unread = self.unread.saturating_sub(length as u64);
        self.sum = grown(&self.sum, &self.block);
        self.taken = 0;
        Ok(())
    }

    /// That all was taken, and that it has the hash that follows it.
    pub(super) fn finish(mut self) -> Result<(), SnapshotError> {
        if self.left() > 0 {
            return Err(SnapshotError::Trailing);
        }
        let mut sum = [0; SUM_BYTES];
        self.input.read_exact(&mut sum)?;
        if sum == self.sum { Ok(()) } else { Err(SnapshotError::Sum) }
    }
}
