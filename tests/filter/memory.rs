//! The module's allocator, which this binary uses too: allocated bytes keep their content while a block grows and
//! shrinks.

use std::{alloc::Layout, thread};

/// Sizes at the limits of the size classes, and beyond them.
const SIZES: [usize; 16] = [1, 128, 129, 255, 256, 257, 512, 513, 1024, 1025, 4096, 4097, 8192, 8193, 20_000, 100_000];

fn pattern(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|place| (place * 7 + seed) as u8).collect()
}

#[test]
fn blocks_keep_their_bytes_while_others_come_and_go() {
    let work = |seed: usize| {
        for round in 0..50 {
            let kept: Vec<_> = SIZES.iter().map(|&size| pattern(size, seed + size + round)).collect();
            for &size in SIZES.iter().rev() {
                drop(pattern(size, 0));
                assert!(vec![0u8; size].iter().all(|&byte| byte == 0), "{size} zeroed bytes");
            }
            for (&size, bytes) in SIZES.iter().zip(kept) {
                assert_eq!(bytes, pattern(size, seed + size + round), "{size} bytes");
            }
        }
    };
    thread::scope(|scope| (0..4).for_each(|seed| _ = scope.spawn(move || work(seed))));
}

#[test]
fn a_block_that_grows_or_shrinks_keeps_its_bytes() {
    for from in SIZES {
        for to in SIZES {
            let mut bytes = pattern(from, 1);
            bytes.shrink_to_fit();
            if to > from {
                bytes.reserve_exact(to - from);
            } else {
                bytes.truncate(to);
                bytes.shrink_to_fit();
            }
            assert_eq!(bytes, pattern(from.min(to), 1), "{from} to {to}");
            bytes.resize(to, 9);
            assert!(bytes.iter().skip(from).all(|&byte| byte == 9), "{from} to {to}");
        }
    }
}

#[test]
fn a_block_is_aligned_as_it_is_asked_for() {
    for size in SIZES {
        for align in [1, 8, 16, 64, 4096] {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the size is not zero, and the block is freed with its layout.
            unsafe {
                let block = std::alloc::alloc(layout);
                assert!(!block.is_null() && block.addr().is_multiple_of(align), "{size} bytes, {align}");
                std::alloc::dealloc(block, layout);
            }
        }
    }
}
