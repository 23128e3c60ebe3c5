//! A file for the records that one step sends beyond its memory. It has no name, so that it ends with the process.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use kafka_streams_core::OutputOverflow;

/// Chunks of a task's output, one behind the other in a file that is there only while it is needed.
#[derive(Debug)]
pub(crate) struct OutputFile {
    directory: PathBuf,
    chunks: Option<Chunks>,
}

#[derive(Debug)]
struct Chunks {
    file: File,
    /// Where the oldest chunk begins: its length as a little-endian u64, then its bytes.
    from: u64,
    /// Where the next one will.
    to: u64,
}

impl OutputFile {
    /// A file in this directory.
    pub(crate) fn new(directory: PathBuf) -> Self {
        OutputFile { directory, chunks: None }
    }
}

impl OutputOverflow for OutputFile {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let chunks = match &mut self.chunks {
            Some(chunks) => chunks,
            None => {
                let file = tempfile::tempfile_in(&self.directory)?;
                self.chunks.insert(Chunks { file, from: 0, to: 0 })
            }
        };
        chunks.file.seek(SeekFrom::Start(chunks.to))?;
        chunks.file.write_all(&(chunk.len() as u64).to_le_bytes())?;
        chunks.file.write_all(chunk)?;
        chunks.to = chunks.file.stream_position()?;
        Ok(())
    }

    fn pop(&mut self, into: &mut Vec<u8>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let chunks = self.chunks.as_mut().ok_or("there is no file")?;
        chunks.file.seek(SeekFrom::Start(chunks.from))?;
        let mut length = [0; 8];
        chunks.file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        let before = into.len();
        (&mut chunks.file).take(length).read_to_end(into)?;
        if (into.len() - before) as u64 != length {
            return Err("the file has become shorter".into());
        }
        chunks.from = chunks.file.stream_position()?;
        if chunks.from == chunks.to {
            self.chunks = None;
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.chunks = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_in_order_and_the_file_is_gone_after_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = OutputFile::new(dir.path().to_owned());
        let pop = |file: &mut OutputFile| {
            let mut chunk = b"before ".to_vec();
            file.pop(&mut chunk).map(|()| chunk)
        };
        file.push(b"one").unwrap();
        file.push(b"").unwrap();
        assert_eq!(pop(&mut file).unwrap(), b"before one");
        file.push(b"three").unwrap();
        assert_eq!(pop(&mut file).unwrap(), b"before ");
        assert_eq!(pop(&mut file).unwrap(), b"before three");
        assert!(file.chunks.is_none() && pop(&mut file).is_err());
        file.push(b"four").unwrap();
        file.clear();
        assert!(pop(&mut file).is_err());
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = OutputFile::new(dir.path().join("missing"));
        assert!(file.push(b"one").is_err());
    }
}
