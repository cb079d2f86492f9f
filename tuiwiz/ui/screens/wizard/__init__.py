"""The wizard's screen: one view a step, over `tuiwiz.wizard.session`."""
