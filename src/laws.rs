//! Laws: properties that hold for every input, checked by `proptest` with inputs from a fixed seed. No IO.
//!
//! `PROPTEST_CASES` (how many inputs each law gets) and `PROPTEST_RNG_SEED` (other ones) search further:
//! `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=7 cargo test --lib laws`. A counterexample is printed, the smallest that was
//! found; nothing is written to disk.

use std::env;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestRunner};

/// Asserts that `law`, which panics where it does not hold, holds for `cases` inputs.
pub(crate) fn for_all<S: Strategy>(cases: u32, inputs: &S, law: impl Fn(S::Value)) {
    // This reads the environment.
    let wanted = Config::default();
    let config = Config {
        cases: if env::var_os("PROPTEST_CASES").is_some() { wanted.cases } else { cases },
        rng_seed: if wanted.rng_seed == RngSeed::Random { RngSeed::Fixed(1) } else { wanted.rng_seed },
        rng_algorithm: RngAlgorithm::XorShift,
        failure_persistence: None,
        ..wanted
    };
    let result = TestRunner::new(config).run(inputs, |input| {
        law(input);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
