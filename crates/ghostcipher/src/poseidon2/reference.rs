//! Poseidon2 again, from the papers alone, for the tests: plain integers modulo p, and round constants from the Grain LFSR.

use super::P;

const MODULUS: u64 = P as u64;
const ROUNDS_HALF: usize = 4;
const ROUNDS_INTERNAL: usize = 20;

pub(super) struct Reference {
    initial: Vec<[u64; 16]>,
    internal: Vec<u64>,
    last: Vec<[u64; 16]>,
}

impl Reference {
    pub(super) fn new() -> Self {
        let mut grain = Grain::new();
        let mut rows = |rounds| (0..rounds).map(|_| std::array::from_fn(|_| grain.element())).collect();
        let initial = rows(ROUNDS_HALF);
        let internal = (0..ROUNDS_INTERNAL).map(|_| grain.element()).collect();
        let mut rows = |rounds| (0..rounds).map(|_| std::array::from_fn(|_| grain.element())).collect();
        Self { initial, internal, last: rows(ROUNDS_HALF) }
    }

    /// Section 6: a linear layer, half of the external rounds, the internal rounds, the other half.
    pub(super) fn permute(&self, state: &mut [u64; 16]) {
        external_matrix(state);
        self.initial.iter().for_each(|constants| external_round(state, constants));
        for constant in &self.internal {
            state[0] = cube(state[0] + constant);
            internal_matrix(state);
        }
        self.last.iter().for_each(|constants| external_round(state, constants));
    }
}

fn external_round(state: &mut [u64; 16], constants: &[u64; 16]) {
    for (element, constant) in state.iter_mut().zip(constants) {
        *element = cube(*element + constant);
    }
    external_matrix(state);
}

fn cube(element: u64) -> u64 {
    let element = element % MODULUS;
    element * element % MODULUS * element % MODULUS
}

/// circ(2 M4, M4, M4, M4) with the cheapest MDS M4 = circ(2, 3, 1, 1).
fn external_matrix(state: &mut [u64; 16]) {
    const M4: [[u64; 4]; 4] = [[2, 3, 1, 1], [1, 2, 3, 1], [1, 1, 2, 3], [3, 1, 1, 2]];
    let old = *state;
    for (index, element) in state.iter_mut().enumerate() {
        let (block, row) = (index / 4, index % 4);
        let sum: u64 =
            (0..16).map(|column| if column / 4 == block { 2 } else { 1 } * M4[row][column % 4] * old[column]).sum();
        *element = sum % MODULUS;
    }
}

/// All ones plus the diagonal -2, 1, 2, 1/2, 3, 4, -1/2, -3, -4, 2^-8, 2^-3, 2^-24, -2^-8, -2^-3, -2^-4, -2^-24.
fn internal_matrix(state: &mut [u64; 16]) {
    let minus = |value: u64| MODULUS - value;
    // (p + 1) / 2 is one half.
    let half = |power: u32| (0..power).fold(1, |value, _| value * MODULUS.div_ceil(2) % MODULUS);
    let diagonal = [
        minus(2),
        1,
        2,
        half(1),
        3,
        4,
        minus(half(1)),
        minus(3),
        minus(4),
        half(8),
        half(3),
        half(24),
        minus(half(8)),
        minus(half(3)),
        minus(half(4)),
        minus(half(24)),
    ];
    let sum: u64 = state.iter().sum();
    for (element, factor) in state.iter_mut().zip(diagonal) {
        *element = (sum + *element * factor) % MODULUS;
    }
}

/// The generator of the Poseidon papers (eprint 2019/458, appendix E).
struct Grain([bool; 80]);

impl Grain {
    fn new() -> Self {
        // Prime field, S-box a power, 31 bits, width 16, 8 external and 20 internal rounds, then ones.
        let fields = [(2, 1), (4, 0), (12, 31), (12, 16), (10, 8), (10, 20), (30, (1 << 30) - 1)];
        let bits = fields
            .iter()
            .flat_map(|&(width, value): &(u32, u32)| (0..width).rev().map(move |position| value >> position & 1 == 1));
        let bits: Vec<bool> = bits.collect();
        let mut grain = Self(bits.try_into().expect("the fields fill 80 bits"));
        for _ in 0..160 {
            grain.step();
        }
        grain
    }

    fn step(&mut self) -> bool {
        let bit = [62, 51, 38, 23, 13, 0].iter().fold(false, |bit, &tap| bit ^ self.0[tap]);
        self.0.rotate_left(1);
        self.0[79] = bit;
        bit
    }

    /// Bits come in pairs; the second counts only when the first is set.
    fn bit(&mut self) -> bool {
        loop {
            let (counts, bit) = (self.step(), self.step());
            if counts {
                return bit;
            }
        }
    }

    fn element(&mut self) -> u64 {
        loop {
            let value = (0..31).fold(0, |value, _| value << 1 | u64::from(self.bit()));
            if value < MODULUS {
                return value;
            }
        }
    }
}
