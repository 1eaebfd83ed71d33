#![allow(missing_docs)]
use std::time::Instant;
use std::hint::black_box;
use std::arch::asm;
use blstrs::Scalar as Fr;
use ff::PrimeField;
use generic_array::typenum::*;
use neptune::poseidon::{Arity as NA, PoseidonConstants};
use neptune::Poseidon;
use sealbench_kernels::{cpu::Features, poseidon::*};
fn once(f: &mut dyn FnMut(), n: f64)->f64{ let t=Instant::now(); f(); t.elapsed().as_nanos() as f64/n }
fn clock()->f64{ let mut b=f64::MAX; for _ in 0..50 { b=b.min(once(&mut||{let mut x=1u64; for _ in 0..10000 { unsafe{asm!("add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}","add {0},{1}",inout(reg) x, in(reg) 3u64);}} black_box(x);},1e5)); } b}
fn run<A: NA<Fr>>(with: bool){
  let c=PoseidonConstants::<Fr,A>::new(); let t=c.arity(); let a=Arity::new(t).unwrap();
  let n=512; let mut seed=Fr::from(7); let els:Vec<Fr>=(0..n*t).map(|i|{seed=seed*seed+Fr::from(i as u64);seed}).collect();
  let rows:Vec<u8>=els.iter().flat_map(|e|e.to_repr()).collect(); let mut out=vec![0u8;n*32];
  let f=Features::detect();
  let (mut nep,mut por,mut ifm)=(f64::MAX,f64::MAX,f64::MAX);
  let p=Backend::new("portable",&f).unwrap(); let v=Backend::new("ifma-x8",&f).unwrap();
  for _ in 0..30 {
    if with || nep == f64::MAX { nep=nep.min(once(&mut||{for k in 0..16{black_box(Poseidon::new_with_preimage(&els[k*t..k*t+t],&c).hash());}},16.0));}
    por=por.min(once(&mut||hash_rows(p,a,&rows[..32*t*32],&mut out[..32*32]).unwrap(),32.0));
    for _ in 0..3 {ifm=ifm.min(once(&mut||hash_rows(v,a,&rows,&mut out).unwrap(),n as f64));}
  }
  let clk=clock();
  println!("arity {t:2}: neptune {nep:8.0} ns portable {por:8.0} ns ({:.2}x) ifma {ifm:8.1} ns ({:.2}x)  cycles/hash portable {:.0} ifma {:.0}",nep/por,nep/ifm,por/clk,ifm/clk);
}
fn main(){ let with=std::env::args().nth(1).is_none(); run::<U2>(with);run::<U4>(with);run::<U8>(with);run::<U11>(with);}
