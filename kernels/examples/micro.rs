#![allow(missing_docs)]
use std::time::Instant; use std::hint::black_box; use std::arch::asm;
use sealbench_kernels::fr::x86_ifma::*;
fn once(f: &mut dyn FnMut(), n: f64)->f64{ let t=Instant::now(); f(); t.elapsed().as_nanos() as f64/n }
fn clock()->f64{ let mut b=f64::MAX; for _ in 0..50 { b=b.min(once(&mut||{let mut x=1u64; for _ in 0..10000 { unsafe{asm!("add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}",inout(reg) x, in(reg) 3u64);}} black_box(x);},1e5)); } b}
fn main(){ let clk=clock(); let m=Multiplier::new(blstrs::Scalar::from(77)); let key=[1234567u64<<20,1<<40,77777,1<<51,1<<40];
 let ideal=[79.,99.,59.,0.,9.,79.,99.,59.,0.,129.,257.];
 for w in 0..11u32 { let mut b=f64::MAX; for _ in 0..200 { b=b.min(once(&mut||{black_box(unsafe{micro(1200,w,&key,&m)});},1200.0)); }
  println!("{:20} {:6.1} cycles, IFMA {}",["sq lat","mul lat","const lat","neg lat","div","sq tput","mul tput","const tput","neg tput","row12","fifth tput"][w as usize],b/clk,ideal[w as usize]); } 
 use sealbench_kernels::poseidon::{Arity, x86_ifma};
 let r=|f: &dyn Fn()->u64|{ let mut b=u64::MAX; for _ in 0..40 { b=b.min(f()); } b as f64/1000.0/clk };


 println!("mix 3 dense {:.0} ", r(&||unsafe{x86_ifma::micro::<3,3>(1000,Arity::Two)}));
 println!("mix 5 dense {:.0} ", r(&||unsafe{x86_ifma::micro::<5,5>(1000,Arity::Four)}));
 println!("mix 9 blocks {:.0}", r(&||unsafe{x86_ifma::micro::<9,3>(1000,Arity::Eight)}));
 println!("mix 12 blocks {:.0}", r(&||unsafe{x86_ifma::micro::<12,4>(1000,Arity::Eleven)}));
}
