//! The branches of a module: adds counters to each, and writes the section that says which way they usually go. Runs
//! nothing.

use std::collections::BTreeMap;

use walrus::{
    ConstExpr, GlobalId, InstrLocId, LocalId, Module, ModuleGlobals, ValType,
    ir::{BinaryOp, Binop, Const, GlobalGet, GlobalSet, Instr, InstrSeqId, LocalGet, LocalTee, Value},
};
use wasm_encoder::{BranchHint, BranchHints, RawSection, SectionId};
use wasmparser::{Operator, Parser, Payload, TypeRef};

/// The place of a branch, in bytes from the beginning of the module.
pub type Place = u32;

/// The counts of all branches.
pub type Counts = BTreeMap<Place, Count>;

/// The counts of one branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How often its condition was true.
    pub taken: u64,
    /// How often it was reached.
    pub reached: u64,
}

/// A branch that was reached less often gives no hint.
const ENOUGH: u64 = 1_000;
/// A branch gives a hint if it goes the other way in at most this many of a hundred cases.
const RARELY: u64 = 2;

/// Prefixes of the names of counters. The place of the branch follows.
const TAKEN: &str = "taken@";
const REACHED: &str = "reached@";

impl Count {
    /// Adds another count of the same branch.
    pub fn add(&mut self, other: Self) {
        self.taken += other.taken;
        self.reached += other.reached;
    }

    /// Whether the branch is usually taken. `None` if neither way is usual.
    fn usually(self) -> Option<bool> {
        let rarely = |times: u64| times * 100 <= self.reached * RARELY;
        match self {
            _ if self.reached < ENOUGH => None,
            _ if rarely(self.taken) => Some(false),
            _ if rarely(self.reached - self.taken) => Some(true),
            _ => None,
        }
    }
}

/// Reads the name of a counter's export: the place of the branch, and whether the counter counts how often it was taken
/// (true) or reached (false).
pub fn counter(export: &str) -> Option<(Place, bool)> {
    let of = |prefix: &str| export.strip_prefix(prefix)?.parse().ok();
    of(TAKEN).map(|place| (place, true)).or_else(|| of(REACHED).map(|place| (place, false)))
}

/// The module with two exported counters at each branch.
pub fn with_counters(module: &[u8]) -> Result<Vec<u8>, String> {
    let mut module = Module::from_buffer(module).map_err(|error| error.to_string())?;
    let Module { funcs, globals, locals, exports, .. } = &mut module;
    for (_, function) in funcs.iter_local_mut() {
        let condition = locals.add(ValType::I32);
        let mut todo: Vec<InstrSeqId> = vec![function.entry_block()];
        while let Some(sequence) = todo.pop() {
            let instructions = &mut function.block_mut(sequence).instrs;
            let mut counted = Vec::with_capacity(instructions.len());
            for (instruction, place) in instructions.drain(..) {
                match &instruction {
                    Instr::Block(block) => todo.push(block.seq),
                    Instr::Loop(block) => todo.push(block.seq),
                    Instr::IfElse(branch) => todo.extend([branch.consequent, branch.alternative]),
                    _ => {}
                }
                if matches!(instruction, Instr::BrIf(_) | Instr::IfElse(_)) && !place.is_default() {
                    let mut counter = |kind: &str| {
                        let counter = zero(globals);
                        exports.add(&format!("{kind}{}", place.data()), counter);
                        counter
                    };
                    counted.extend(count(condition, counter(TAKEN), counter(REACHED)));
                }
                counted.push((instruction, place));
            }
            *instructions = counted;
        }
    }
    Ok(module.emit_wasm())
}

fn zero(globals: &mut ModuleGlobals) -> GlobalId {
    globals.add_local(ValType::I32, true, false, ConstExpr::Value(Value::I32(0)))
}

/// Counts a branch. Its condition is on the stack and stays there.
fn count(condition: LocalId, taken: GlobalId, reached: GlobalId) -> Vec<(Instr, InstrLocId)> {
    let one: Instr = Const { value: Value::I32(1) }.into();
    let add: Instr = Binop { op: BinaryOp::I32Add }.into();
    let instructions = [
        LocalTee { local: condition }.into(),
        // Every value other than zero means true.
        Const { value: Value::I32(0) }.into(),
        Binop { op: BinaryOp::I32Ne }.into(),
        GlobalGet { global: taken }.into(),
        add.clone(),
        GlobalSet { global: taken }.into(),
        GlobalGet { global: reached }.into(),
        one,
        add,
        GlobalSet { global: reached }.into(),
        LocalGet { local: condition }.into(),
    ];
    instructions.map(|instruction| (instruction, InstrLocId::default())).into()
}

/// The module with the hints of these counts in front of its code. Nothing else changes.
pub fn with_hints(module: &[u8], counts: &Counts) -> Result<Vec<u8>, String> {
    let hints = hints(module, counts)?;
    let mut hinted = wasm_encoder::Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(|error| error.to_string())?;
        let Some((id, range)) = payload.as_section() else { continue };
        if id == SectionId::Code as u8 {
            hinted.section(&hints);
        }
        let data = module.get(range).ok_or("a section that is not there")?;
        hinted.section(&RawSection { id, data });
    }
    Ok(hinted.finish())
}

fn hints(module: &[u8], counts: &Counts) -> Result<BranchHints, String> {
    let mut hints = BranchHints::new();
    let mut said = 0;
    for (function, branches) in branches(module)? {
        let known = branches.into_iter().filter_map(|Branch { place, in_function }| {
            let usually = counts.get(&place)?.usually()?;
            Some(BranchHint { branch_func_offset: in_function, branch_hint_value: u32::from(usually) })
        });
        let known: Vec<_> = known.collect();
        if !known.is_empty() {
            said += known.len();
            hints.function_hints(function, known);
        }
    }
    // If the counters do not fit the branches, the result would be wrong.
    let expected = counts.values().filter(|count| count.usually().is_some()).count();
    if said != expected || said == 0 {
        return Err(format!("{expected} of its branches usually go one way, and {said} of them were found again"));
    }
    Ok(hints)
}

/// A conditional branch.
struct Branch {
    place: Place,
    /// Bytes from the beginning of its function's body, locals included.
    in_function: u32,
}

/// The branches of each function, by its index.
fn branches(module: &[u8]) -> Result<Vec<(u32, Vec<Branch>)>, String> {
    let text = |error: wasmparser::BinaryReaderError| error.to_string();
    let mut function = 0;
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(text)? {
            // Imports have the first indices.
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if matches!(import.map_err(text)?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) {
                        function += 1;
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                let begin = body.range().start;
                let mut branches = Vec::new();
                let mut operators = body.get_operators_reader().map_err(text)?;
                while !operators.eof() {
                    let (operator, at) = operators.read_with_offset().map_err(text)?;
                    if matches!(operator, Operator::BrIf { .. } | Operator::If { .. }) {
                        let number = |number: usize| u32::try_from(number).map_err(|_| "it has more than 4 GiB");
                        branches.push(Branch { place: number(at)?, in_function: number(at - begin)? });
                    }
                }
                functions.push((function, branches));
                function += 1;
            }
            _ => {}
        }
    }
    Ok(functions)
}

#[cfg(test)]
mod tests;
