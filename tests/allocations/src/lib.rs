//! The counting allocator: proves that hot paths allocate nothing. A test or bench that uses this crate runs on it.
//!
//! Only Rust's own allocations are seen; what a C library takes for itself is not.
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// What was asked of the allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Blocks taken or grown.
    pub taken: u64,
    /// Blocks given back.
    pub freed: u64,
}

impl Counts {
    /// Nothing was asked.
    pub const NONE: Self = Self { taken: 0, freed: 0 };
}

struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
    static FREED: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
    static THREAD: Cell<i32> = const { Cell::new(0) };
}

/// The kernel's number of the thread that [`watch`] asked for; 0 for none.
static WATCHED: AtomicI32 = AtomicI32::new(0);
static WATCHED_TAKEN: AtomicU64 = AtomicU64::new(0);
static WATCHED_FREED: AtomicU64 = AtomicU64::new(0);

fn count(own: &'static std::thread::LocalKey<Cell<u64>>, watched: &AtomicU64) {
    // A thread that is ending has no counters any more and nobody who would read them.
    let _ = own.try_with(|count| count.set(count.get() + 1));
    let wanted = WATCHED.load(Ordering::Relaxed);
    if wanted == 0 {
        return;
    }
    let thread = THREAD.try_with(|thread| {
        if thread.get() == 0 {
            thread.set(rustix::thread::gettid().as_raw_nonzero().get());
        }
        thread.get()
    });
    if thread == Ok(wanted) {
        watched.fetch_add(1, Ordering::Relaxed);
    }
}

fn held(bytes: i64) {
    let _ = BYTES.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every request is passed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&TAKEN, &WATCHED_TAKEN);
        held(layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(&FREED, &WATCHED_FREED);
        held(-(layout.size() as i64));
        // SAFETY: `pointer` came from `alloc` above, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(&TAKEN, &WATCHED_TAKEN);
        held(size as i64 - layout.size() as i64);
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What this thread asks for while `work` runs.
pub fn counted(work: impl FnOnce()) -> Counts {
    let before = (TAKEN.get(), FREED.get());
    work();
    Counts { taken: TAKEN.get() - before.0, freed: FREED.get() - before.1 }
}

/// Blocks this thread takes or grows while `work` runs.
pub fn allocations(work: impl FnOnce()) -> u64 {
    counted(work).taken
}

/// What `work` made, and the bytes by which this thread holds more memory for it.
pub fn weighed<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let before = BYTES.get();
    let made = work();
    (made, BYTES.get() - before)
}

/// Counts from now on what the thread with the kernel's number `thread` asks for; read by [`watched`]. One thread of
/// the process at a time.
pub fn watch(thread: i32) {
    WATCHED_TAKEN.store(0, Ordering::Relaxed);
    WATCHED_FREED.store(0, Ordering::Relaxed);
    WATCHED.store(thread, Ordering::Relaxed);
}

/// What the watched thread asked for so far.
#[must_use]
pub fn watched() -> Counts {
    Counts { taken: WATCHED_TAKEN.load(Ordering::Relaxed), freed: WATCHED_FREED.load(Ordering::Relaxed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_thread_asks_for_is_counted() {
        assert_eq!(counted(|| ()), Counts::NONE);
        let block = counted(|| drop(std::hint::black_box(Box::new([0_u8; 100]))));
        assert_eq!(block, Counts { taken: 1, freed: 1 });
    }

    #[test]
    fn what_is_kept_is_weighed() {
        let (kept, bytes) = weighed(|| {
            drop(std::hint::black_box(Box::new([0_u8; 5000])));
            vec![0_u8; 1000]
        });
        assert_eq!((kept.len(), bytes), (1000, 1000));
    }

    #[test]
    fn another_thread_is_counted_when_it_is_watched() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            wait.recv().unwrap();
            drop(std::hint::black_box(vec![0_u8; 1000]));
        });
        watch(told.recv().unwrap());
        go.send(()).unwrap();
        other.join().unwrap();
        assert!(watched().taken >= 1 && watched().freed >= 1);
        watch(0);
    }
}
