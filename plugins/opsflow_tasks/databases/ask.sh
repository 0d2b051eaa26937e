# Expects: question, the functions of an engine.
ready
query "$question"
