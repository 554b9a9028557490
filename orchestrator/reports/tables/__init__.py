"""Tables and sentences, laid out once for terminal, Markdown and page. They compute nothing that the analysis
has not."""
