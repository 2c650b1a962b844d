// What the pages need of Vega and Vega-Lite, and nothing else: see README.md beside this file.
import { extend } from "vega-util";
import { transforms } from "vega-dataflow";
import * as data from "vega-transforms";
import * as view from "vega-view-transforms";
import * as encode from "vega-encode";

extend(transforms, data, view, encode);

export { compile } from "vega-lite";
export { View } from "vega-view";
export { parse } from "vega-parser";
export { expressionInterpreter } from "vega-interpreter";
