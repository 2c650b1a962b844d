// Stands in for the package "vega", of which vega-lite takes these four functions only.
export { hasOwnProperty, isObject, isString, stringValue } from "vega-util";
