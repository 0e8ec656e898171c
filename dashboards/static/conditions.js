// The list of conditions: what fires appears, and what is over goes, without a reload.
import { keepFresh } from "./refresh.js";

keepFresh("/conditions/rows", document.getElementById("rows"));
