mod fixture;
mod power;
mod rules;
mod simulation;
