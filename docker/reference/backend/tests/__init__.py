"""Tests of the reference backend: no network, no databases; fakes stand for the neighbours."""
